import { eventStoreContract } from './contract.ts'
import { createMemoryEventStore } from './memory.ts'

eventStoreContract(async () => createMemoryEventStore(), { appendToMany: true })
