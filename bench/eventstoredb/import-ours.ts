import { userActor } from '../../commands/actor.ts'
import { createCommands, mustExecute, requestEnvelope } from '../../commands/execute.ts'
import { newId } from '../../commands/ids.ts'
import { importOffers } from '../../commands/import-offers.ts'
import { isRefusal } from '../../domain/errors.ts'
import type { Outcome, Task } from '../task.ts'
import { withEventStoreDb } from './connect.ts'

export type ImportSize = { readonly lines: number }

const header = 'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,Region'
const lineAt = (n: number) =>
  `type-${n},H100,2,32,64.0,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}",${1 + (n % 90)}.5,"France, FR, EU"`

/** Imports a catalog for a new provider as the platform does: each line is read, its machine is looked up in the log, a
 *  command is decided, and its event is appended to the stream of its listing; 32 lines at once. */
export const contestant = ({ url, parameters }: Task<ImportSize>): Promise<Outcome> =>
  withEventStoreDb(url, async (store) => {
    const { lines } = parameters
    const provider = newId()
    const commands = createCommands({ store })
    const now = () => new Date().toISOString()
    const register = { type: 'RegisterProvider', wallet: provider, name: 'Paula', registeredAt: now() } as const
    mustExecute(
      await commands.execute('provider', provider, register, requestEnvelope(newId(), userActor(provider), now())),
    )
    const csv = [header, ...Array.from({ length: lines }, (_, n) => lineAt(n))].join('\n')
    const begun = performance.now()
    const answer = await importOffers({ commands, now, earlierListings: async () => [] }, { provider, csv })
    const tookMs = performance.now() - begun
    if (isRefusal(answer) || answer.listed.length !== lines) throw new Error('not all lines were listed')
    return { linesPerSecond: (lines * 1000) / tookMs }
  })
