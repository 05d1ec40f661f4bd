import { createMemoryStore } from './credentials/memory-store.ts'
import { UnsupportedError } from './errors/index.ts'
import { webFetch } from './net/web-fetch.ts'
import type { FullPlatform } from './options.ts'

/** `setTimeout` takes 2^31-1 ms (24.8 days) and fires at once beyond it: sooner is better than at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

/** The parts every JavaScript runtime has. */
export const webPlatform: FullPlatform = {
  fetch: webFetch,
  clock: {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimer(callback, delay) {
      const timer = setTimeout(callback, Math.min(delay, LONGEST_TIMEOUT))
      return () => clearTimeout(timer)
    },
  },
  createStore: (_emit, place) => {
    if (place !== 'keychain') return createMemoryStore()
    throw new UnsupportedError({
      message: 'There is no keychain on this platform.',
      remedy: 'Leave `store` out, or pass a CredentialStore.',
    })
  },
  attended: false,
  debug: false,
  debugListener: () => {},
  loadSdk: () => import('@modelcontextprotocol/client'),
}
