/** Programs of the EVM that take steps, stack, memory or code until their gas is used up. */
export const gasBombs = {
  'a loop': '0x5b600056',
  'a loop that takes memory': '0x5b59600052600056',
  'memory, twice as much each time': '0x5f5b80602002815260010180600156',
  'the highest memory': '0x6001640fffffffff5260206000f3',
  'a loop over long code': `0x${'5b'.repeat(20_000)}600056`,
  'a full stack': `0x5b${'6001'.repeat(1_000)}${'50'.repeat(1_000)}600056`,
  'copies at a full stack': `0x${'5f'.repeat(1_000)}5b${'8050'.repeat(5_000)}6103e856`,
  'large constants': `0x5b7f${'ff'.repeat(32)}50600056`,
  'copies of itself': '0x5b62030d406000600039600056',
  'hashes of memory': '0x5b620f424060002050600056',
  'calls of itself': '0x5b60006000600060006000305af150600056',
  'calls with memory': '0x5b61ffff600061ffff600060006004620186a0f150600056',
  'new contracts': '0x5b600060006000f050600056',
  'long logs': '0x5b6103e86000a0600056',
} as const
