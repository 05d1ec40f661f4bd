import type { ReachingFetch } from '../ports.ts'

/** The `fetch` that every JavaScript runtime has: it resolves names itself, so how far it reaches is its own affair. */
export const webFetch: ReachingFetch = (input, init) => globalThis.fetch(input, init)
