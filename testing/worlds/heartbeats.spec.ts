import { heartbeatsContract } from '../../infra/heartbeats/contract.ts'
import { heartbeatsInMemory } from './heartbeats.ts'

heartbeatsContract(async (time) => heartbeatsInMemory(time))
