/** Refusals and failures: provider and listing. */
export const listingErrors = {
  PROVIDER_ALREADY_REGISTERED: {
    message: 'This provider is already registered.',
    hint: 'There is nothing to do; renameProvider changes the name.',
  },
  PROVIDER_NOT_REGISTERED: {
    message: 'This wallet is not a registered provider.',
    hint: 'Call registerProvider first.',
  },
  LISTING_ALREADY_EXISTS: {
    message: 'This listing already exists.',
    hint: 'Change its price, or withdraw it and create a new listing.',
  },
  LISTING_UNKNOWN: {
    message: 'There is no such listing.',
    hint: 'Search listings for one that is open. To rent it, take a new idempotency key.',
  },
  LISTING_WITHDRAWN: { message: 'The provider has withdrawn this listing.', hint: 'Search listings for another one.' },
  LISTING_FULL: {
    message: 'The listing does not have enough free GPUs; other rentals have reserved them.',
    hint: 'Ask for a lower gpuCount, take another listing, or try again when a rental has ended.',
  },
  LISTING_TOO_SMALL: {
    message: 'The listing has fewer GPUs than were asked for, also when all of them are free.',
    hint: 'Ask for a lower gpuCount, or take a listing with more GPUs: gpuCountMin finds it.',
  },
  LISTING_INVALID: {
    message: 'A listing needs at least one GPU and a price above zero.',
    hint: 'See the details for the field.',
  },
  GPU_UNKNOWN: {
    message: 'No open listing offers a GPU of this name.',
    hint: 'See the details for the nearest models on offer; gpuModels lists all.',
  },
  NO_FITTING_OFFER: {
    message: 'No open listing of this GPU meets the requirements.',
    hint: 'The details have what no listing met, such as gpuCount, vramMibMin or region. Ask for less, or for another region.',
  },
  PRICE_ABOVE_MAXIMUM: {
    message: 'The price is above the given maximum.',
    hint: 'See the details. Raise maxPricePerGpuHour, name the asset of the offer, or take another listing.',
  },
  OFFERS_CHANGED: {
    message: 'Each offer that was tried had changed by then: its price, its free GPUs, or it was withdrawn.',
    hint: 'See the details for why each was refused. Ask again with a new idempotencyKey.',
  },
  RESERVATION_UNKNOWN: {
    message: 'The listing has no such reservation.',
    hint: 'It was freed before, or never made.',
  },
  OFFER_LINE_INVALID: {
    message: 'This line of the offer file cannot be read.',
    hint: 'See the details for the line and the column; the other lines were imported.',
  },
  OFFERS_NOT_WITHDRAWN: {
    message: 'Nothing was withdrawn: the file may not be all that the provider offers.',
    hint: 'See the details for the line. Correct it and import the file again, or withdraw listings with withdrawListing.',
  },
} as const
