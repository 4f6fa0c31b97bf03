/** Returns the name of the column for a property: `gpuCount` is `gpu_count`. */
export const snakeCase = (property: string): string =>
  property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
