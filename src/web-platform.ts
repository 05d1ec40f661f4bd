import { createMemoryStore } from './credentials/memory-store.ts'
import type { FullPlatform } from './options.ts'

/** The parts every JavaScript runtime has. */
export const webPlatform: FullPlatform = {
  fetch: (input, init) => globalThis.fetch(input, init),
  clock: {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimer(callback, delay) {
      const timer = setTimeout(callback, delay)
      return () => clearTimeout(timer)
    },
  },
  createStore: createMemoryStore,
  attended: false,
  debug: false,
  debugListener: () => {},
  loadSdk: () => import('@modelcontextprotocol/client'),
}
