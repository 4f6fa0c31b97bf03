import { append } from './append/bench.ts'
import { catchUp } from './catch-up/bench.ts'
import { growth } from './growth/bench.ts'
import { hot } from './hot/bench.ts'
import { load } from './load/bench.ts'
import { project } from './project/bench.ts'
import { rent } from './rent/bench.ts'
import { tail } from './tail/bench.ts'
import type { Bench } from './world.ts'

/** In the order in which `all` runs them. */
export const benches: readonly Bench[] = [append, load, catchUp, project, tail, growth, hot, rent]
