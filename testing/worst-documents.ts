/** Documents that are as much work to validate as the limits allow, each kind in another rule. */
const repeated = (count: number, text: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => text(at)).join(' ')

/** By what is much in them, a function that returns such a document. Documents with different names are different. */
export const worstDocuments: Readonly<Record<string, (name: string) => string>> = {
  'one field': (name) => `query ${name} { ${'head '.repeat(250)} }`,
  'some fields': (name) => `query ${name} { ${'head chain gpuModels __typename '.repeat(250)} }`,
  'one field, beyond the limit': (name) => `query ${name} { ${'head '.repeat(1_890)} }`,
  'one list': (name) => `query ${name} { ${'listings { __typename } '.repeat(250)} }`,
  'fields within one list': (name) =>
    `query ${name} { ${`listings { nodes { ${'id gpu region status '.repeat(6)} } } `.repeat(38)} }`,
  'fields in two branches of each field': (name) => `query ${name} { listings { ${branches(8)} } }`,
  'one object of the schema': (name) => `query ${name} { __schema { ${'types { name } '.repeat(250)} } }`,
  'operations with one fragment': (name) =>
    `${repeated(160, (at) => `query ${name}x${at} { ...f }`)} fragment f on Query { ${'head '.repeat(250)} ${'__typename '.repeat(250)} }`,
  'fragments side by side': (name) =>
    `query ${name} { ${repeated(190, (at) => `...f${at}`)} } ${repeated(190, (at) => `fragment f${at} on Query { head }`)}`,
  'fragments of fields side by side': (name) =>
    `query ${name} { ${repeated(30, (at) => `...f${at}`)} } ${repeated(30, (at) => `fragment f${at} on Query { ${'head __typename chain '.repeat(8)} }`)}`,
  'fragments that spread all others': (name) =>
    `query ${name} { ...f0 } ${repeated(24, (at) => `fragment f${at} on Query { head ${repeated(24, (to) => (to > at ? `...f${to}` : ''))} }`)}`,
  'fragments that spread the next one twice': (name) =>
    `query ${name} { ...f0 } ${repeated(140, (at) => `fragment f${at} on Query { ...f${at + 1} ...f${at + 1} }`)} fragment f140 on Query { head }`,
  'one fragment, spread everywhere': (name) =>
    `query ${name} { ${repeated(160, () => 'listings { nodes { ...f } }')} } fragment f on Listing { ${'id gpu '.repeat(200)} }`,
  'unknown fields': (name) => `query ${name} { ${repeated(950, (at) => `listing${at}`)} }`,
  'unknown arguments': (name) => `query ${name} { listings(${repeated(480, (at) => `first${at}: 1`)}) { __typename } }`,
  'unknown input fields': (name) =>
    `query ${name} { listings(filter: { ${repeated(480, (at) => `gpu${at}: 1`)} }) { __typename } }`,
  'unknown types': (name) => `query ${name}(${repeated(390, (at) => `$a${at}: Listing${at}`)}) { head }`,
  'lists within lists': (name) =>
    `query ${name} { listings(first: ${'['.repeat(900)}${']'.repeat(900)}) { __typename } }`,
  directives: (name) => `query ${name} { ${'head @skip '.repeat(600)} }`,
}

const branches = (depth: number): string =>
  depth === 0 ? 'id' : `edges { ${branches(depth - 1)} } nodes { ${branches(depth - 1)} }`
