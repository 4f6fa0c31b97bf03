/** Returns the rows of a table of /proc/sysvipc, each as a function that returns the text of a column. */
export const readIpcTable = (text: string): readonly ((column: string) => string)[] => {
  const [header = [], ...rows] = text
    .split('\n')
    .filter(Boolean)
    .map((line) => line.trim().split(/\s+/))
  return rows.map((row) => (column) => row[header.indexOf(column)] ?? '')
}
