export { schemaNameOf } from './replay/load.ts'
