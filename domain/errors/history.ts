/** Refusals and failures: replay and export. */
export const historyErrors = {
  REPLAY_FILE_INVALID: {
    message: 'This file exports no replay that can be run.',
    hint: 'See the details; docs/replaying.md shows what such a file exports.',
  },
  REPLAY_SCHEMA_FOREIGN: {
    message: 'This database schema was not made by a replay and is left unchanged.',
    hint: 'Give another name with --schema.',
  },
  REPLAY_SCHEMA_IN_USE: {
    message: 'The previous result of this replay cannot be replaced.',
    hint: 'See the details for the reason, or give another name with --schema.',
  },
  REPLAY_FOLD_FAILED: {
    message: 'The replay stopped at an event that its fold cannot process; the previous result was kept.',
    hint: 'See the details for the event and the error of the fold.',
  },
  REPLAY_ROW_INVALID: {
    message: 'A fold wrote a row that does not fit its table.',
    hint: 'See the details for the column and its valid values.',
  },
  EXPORT_FOLDER_FOREIGN: {
    message: 'The folder contains something other than an export.',
    hint: 'Give an empty folder, or one that does not exist yet.',
  },
  EXPORT_FOLDER_DIFFERS: {
    message: 'The folder contains an export that differs from this one.',
    hint: 'Continue as the details say, or give another folder.',
  },
  EXPORT_FOLDER_IN_USE: {
    message: 'Another export is writing into this folder.',
    hint: 'Wait until it has finished, or give another folder.',
  },
  EXPORT_FOLDER_UNWRITABLE: {
    message: 'The export folder cannot be written.',
    hint: 'The details say why: give another folder, free space, or change its permissions. The next run goes on after the last complete file.',
  },
} as const
