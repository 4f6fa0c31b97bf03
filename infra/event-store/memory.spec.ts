import { eventStoreContract } from './contract.ts'
import { createMemoryEventStore, memoryCapabilities } from './memory.ts'

const open = async () => createMemoryEventStore()

eventStoreContract({ capabilities: memoryCapabilities, open, openEmpty: open })
