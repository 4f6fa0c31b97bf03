/** Refusals and failures: requests that do not reach an operation. */
export const requestErrors = {
  ROUTE_UNKNOWN: {
    message: 'There is nothing at this path, or not for this method.',
    hint: 'Send GraphQL to /graphql with POST or GET; a browser finds the API there.',
  },
  GRAPHQL_PARSE_FAILED: {
    message: 'The document is no GraphQL.',
    hint: 'Correct it where the error shows.',
  },
  GRAPHQL_VALIDATION_FAILED: {
    message: 'The document does not fit the schema, or is beyond a limit.',
    hint: 'Correct what the message names. A browser finds the schema at /graphql.',
  },
  OPERATION_RESOLUTION_FAILURE: {
    message: 'The document has no operation of this name, or several and none is named.',
    hint: 'Name one operation of the document beside it, or send a document with one operation and no name.',
  },
  BAD_USER_INPUT: {
    message: 'A variable is missing, or is not of the type that it was declared with.',
    hint: 'Send a value of the type that the message names.',
  },
} as const
