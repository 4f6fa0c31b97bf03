import { ReadModels } from './2026-11-22-read-models.ts'
import { BuildingAndParking } from './2026-11-23-building-and-parking.ts'
import { EventsAndMoments } from './2026-11-23-events-and-moments.ts'

/** In the order they are run. A name that was released is never changed, and neither is what it does. */
export const migrations = [
  { name: '2026-11-22-read-models', class: ReadModels },
  { name: '2026-11-23-building-and-parking', class: BuildingAndParking },
  { name: '2026-11-23-events-and-moments', class: EventsAndMoments },
]
