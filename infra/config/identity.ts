import { z } from 'zod'
import { addressList, setting } from './setting.ts'

/** Settings: tokens and the wallets with privileges. */
export const identitySettings = {
  JWT_SECRET: setting(z.string().min(32), {
    description: 'What access tokens are signed with. Several gateways of one platform need the same.',
    takes: 'at least 32 characters',
    example: 'the output of: openssl rand -base64 48',
    unset: 'made once, kept in DATA_DIR/keys/jwt',
    secret: true,
  }),
  OPERATORS: setting(addressList, {
    description:
      'The wallets that may repair the platform and see the history of all users. [How to become one](#operators-auditors-and-analysts)',
    takes: 'a comma-separated list of 0x and 40 hexadecimal digits',
    example: '0x5FbDB2315678afecb367f032d93F642f64180aa3',
    unset: 'no wallet',
  }),
  ANALYSTS: setting(addressList, {
    description: 'The wallets that may see the history of all users.',
    takes: 'a comma-separated list of 0x and 40 hexadecimal digits',
    example: '0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512',
    unset: 'no wallet besides the operators and auditors',
  }),
  AUDITORS: setting(addressList, {
    description:
      'The wallets that may see the history of all users, and all their accounts, payments, invoices and traces.',
    takes: 'a comma-separated list of 0x and 40 hexadecimal digits',
    example: '0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc',
    unset: 'no wallet besides the operators',
  }),
}
