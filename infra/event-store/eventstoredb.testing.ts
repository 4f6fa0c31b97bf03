export { logPositionsOf } from './eventstoredb/position.ts'
