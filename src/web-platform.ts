import { createMemoryStore } from './credentials/memory-store.ts'
import { UnsupportedError } from './errors/index.ts'
import { webFetch } from './net/web-fetch.ts'
import type { FullPlatform } from './options.ts'

/** The parts every JavaScript runtime has. */
export const webPlatform: FullPlatform = {
  fetch: webFetch,
  clock: {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimer(callback, delay) {
      const timer = setTimeout(callback, delay)
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
