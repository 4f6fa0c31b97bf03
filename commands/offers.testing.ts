export { formerOfferOf } from './offers/former.ts'
