import { channel } from 'node:diagnostics_channel'
import { homedir } from 'node:os'
import { renderEvent } from './event-lines.ts'
import { createKeychainFileStore } from './keychain-store.ts'
import { isWithinReach } from './net/address.ts'
import { createBrowser } from './node/browser.ts'
import { systemClock } from './node/clock.ts'
import { createFileStore } from './node/file-store.ts'
import { createHttpClient } from './node/http-client.ts'
import { createLoopbackReceiver } from './node/loopback-receiver.ts'
import { loadMcpSdk } from './node/mcp-sdk.ts'
import { type PathEnvironment, storeHome } from './node/paths.ts'
import { createSecretReader } from './node/secret-reader.ts'
import { createSignInBoard } from './node/sign-in-board.ts'
import type { FullPlatform } from './options.ts'

/** The machine that this process runs on. */
export const environment: PathEnvironment = {
  env: process.env,
  homedir: homedir(),
  platform: process.platform,
}

/** Every event of every client of this process. */
const diagnostics = channel('latchkey')

/** Node's parts, each made when it is first needed. */
export const nodePlatform: FullPlatform = {
  ...createHttpClient({ env: process.env, isWithinReach }),
  clock: systemClock,
  createStore: (emit, place) => {
    const home = storeHome(environment)
    return place === 'file'
      ? createFileStore({ home, emit, clock: systemClock })
      : createKeychainFileStore({ home, emit, mode: place })
  },
  defaultStore: process.env.LATCHKEY_STORE,
  createSignInBoard: (emit) => createSignInBoard({ home: storeHome(environment), emit, clock: systemClock }),
  redirectReceiver: createLoopbackReceiver({ clock: systemClock }),
  userAgent: createBrowser({ env: process.env, platform: process.platform }),
  secretReader: createSecretReader(environment),
  attended: process.stderr.isTTY === true,
  debug: process.env.LATCHKEY_DEBUG === '1',
  debugListener: (event) => void process.stderr.write(`${renderEvent(event)}\n`),
  diagnostics: (event) => diagnostics.publish(event),
  loadSdk: loadMcpSdk,
  stdioTransport: async (definition) => {
    const { openStdioTransport } = await import('./node/stdio.ts')
    return openStdioTransport(definition, process.env)
  },
}
