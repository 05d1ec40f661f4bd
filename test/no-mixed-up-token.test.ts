import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Fetch } from '../src/ports.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { createConsentBrowser } from './fixtures/consent-browser.mjs'
import { type LoopbackServer, startLoopbackServer } from './fixtures/loopback-server.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { createShiftedClock, type ShiftedClock } from './fixtures/shifted-clock.ts'
import { storedLogins } from './fixtures/stored-logins.ts'
import { failureOf, openWorkbench, type Workbench } from './fixtures/workbench.ts'

// Two MCP servers on one host, two tenants behind one authorization server, and several accounts at each URL. Whatever
// happens in whatever order: a request of a login carries a token of exactly its person, resource, issuer and client.

const runs = Number(process.env.LATCHKEY_TEST_RUNS ?? 25)
const seed = Number(process.env.LATCHKEY_TEST_SEED ?? Date.now() % 0x7fffffff)

let authorizationHost: LoopbackServer
let mcpHost: LoopbackServer
let tenants: AuthorizationServer[]
let servers: McpServerFixture[]

beforeAll(async () => {
  authorizationHost = await startLoopbackServer()
  mcpHost = await startLoopbackServer()
  const tenant = (issuerPath: string) =>
    startAuthorizationServer({ issuerPath, on: authorizationHost, offlineAccess: false })
  tenants = [await tenant('/tenant/one'), await tenant('/tenant/two')]
  const server = (path: string, index: number) => startProtectedServer(tenants[index]!, { path, on: mcpHost })
  servers = [await server('/a/mcp', 0), await server('/b/mcp', 1), await server('/c/mcp', 0)]
})
afterAll(async () => {
  await mcpHost.close()
  await authorizationHost.close()
})

/** `who` signs in as `person` at the server with this index; the first two have a tenant each, the third shares one. */
const IDENTITIES = [
  { account: undefined, person: 'carol', at: 0 },
  { account: 'alice', person: 'alice', at: 0 },
  { account: 'bob', person: 'bob', at: 0 },
  { account: 'alice', person: 'alice', at: 1 },
  { account: 'bob', person: 'bob', at: 1 },
  { account: 'alice', person: 'alice', at: 2 },
] as const

/** What must be true of each identity. */
interface Model {
  readonly signedIn: boolean[]
}

/** latchkey, with a `fetch` for each identity that lives as long as its process. */
class World {
  readonly clock: ShiftedClock = createShiftedClock()
  readonly browsers = IDENTITIES.map(({ person }) => createConsentBrowser({ user: person }))
  bench!: Workbench
  #home: string | undefined
  #fetches: Fetch[] = []

  /** A process that ended, and the next one: nothing in common but the files. */
  async restart(): Promise<void> {
    await this.bench?.close()
    this.#home ??= await mkdtemp(join(tmpdir(), 'latchkey-accounts-'))
    this.bench = await openWorkbench({ clock: this.clock, home: this.#home })
    this.#fetches = IDENTITIES.map((_, who) =>
      this.bench.latchkey.authorizedFetch(this.server(who), { ...this.options(who), interactive: 'never' }),
    )
  }

  server(who: number) {
    // So that every request says whose it is, the probes of a sign-in too.
    return { url: servers[IDENTITIES[who]!.at]!.url, headers: { 'x-who': String(who) } }
  }

  options(who: number) {
    const { account } = IDENTITIES[who]!
    return { openUrl: this.browsers[who]!.open, ...(account !== undefined && { account }) }
  }

  async signIn(who: number): Promise<void> {
    await this.bench.login(this.server(who), this.options(who))
  }

  call(who: number): Promise<Response> {
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
    return this.#fetches[who]!(this.server(who).url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify(ping),
    })
  }

  async end(): Promise<void> {
    await this.bench.close()
    await Promise.all(this.browsers.flatMap(({ visits }) => visits))
    if (this.#home) await rm(this.#home, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Every token that an MCP server saw is of the identity that sent it, and everyone's own. */
function assertNothingMixedUp(): void {
  for (const { headers, pathname } of mcpHost.requests) {
    const token = headers.authorization?.replace(/^Bearer /, '')
    if (token === undefined) continue
    const { person, at } = IDENTITIES[Number(headers['x-who'])]!
    const payload = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString('utf8'))
    const { url } = servers[at]!
    expect({ pathname, sub: payload.sub, aud: payload.aud, iss: payload.iss }).toEqual({
      pathname: new URL(url).pathname,
      sub: person,
      aud: url,
      iss: tenants[at === 1 ? 1 : 0]!.issuer,
    })
  }
  mcpHost.requests.clear()
}

/** No dynamic client serves two accounts, or two issuers. */
async function assertClientsApart(world: World): Promise<void> {
  const users = new Map<unknown, string>()
  for (const { key, record } of await storedLogins(world.bench.home)) {
    const user = `${key.account} ${record.issuer}`
    expect(users.get(record.client_id) ?? user).toBe(user)
    users.set(record.client_id, user)
  }
}

async function expectAnswer(world: World, who: number, signedIn: boolean): Promise<void> {
  if (!signedIn) {
    expect(await failureOf(world.call(who))).toMatchObject({ code: 'login_required' })
    return
  }
  const response = await world.call(who)
  await response.body?.cancel()
  expect(response.status).not.toBe(401)
}

type Command = fc.AsyncCommand<Model, World>

function command(
  name: string,
  run: (model: Model, world: World) => Promise<void>,
  check: (model: Model) => boolean = () => true,
): Command {
  return {
    check,
    run: async (model, world) => {
      await run(model, world)
      assertNothingMixedUp()
      await assertClientsApart(world)
    },
    toString: () => name,
  }
}

const whoever = fc.nat(IDENTITIES.length - 1)
const label = (who: number) => `${IDENTITIES[who]!.account ?? 'unnamed'}@${'abc'[IDENTITIES[who]!.at]}`

const commands = [
  whoever.map((who) =>
    command(`sign in ${label(who)}`, async (model, world) => {
      await world.signIn(who)
      model.signedIn[who] = true
    }),
  ),
  fc.uniqueArray(whoever, { minLength: 2, maxLength: 4 }).map((several) =>
    command(`sign in at once ${several.map(label)}`, async (model, world) => {
      await Promise.all(several.map((who) => world.signIn(who)))
      for (const who of several) model.signedIn[who] = true
    }),
  ),
  whoever.map((who) =>
    command(`sign out ${label(who)}`, async (model, world) => {
      const { openUrl: _none, ...options } = world.options(who)
      const outcome = await world.bench.latchkey.logout(world.server(who), options)
      expect(outcome).toBe(model.signedIn[who] ? 'revoked' : 'not signed in')
      // A process that holds the token goes on until it is refused: the next one knows.
      await world.restart()
      model.signedIn[who] = false
    }),
  ),
  whoever.map((who) =>
    command(`call ${label(who)}`, async (model, world) => expectAnswer(world, who, model.signedIn[who]!)),
  ),
  fc.constant(
    command('call all at once', async ({ signedIn }, world) => {
      await Promise.all(signedIn.map((is, who) => expectAnswer(world, who, is)))
    }),
  ),
  whoever.map((who) =>
    command(
      `refresh ${label(who)}`,
      async (_model, world) => {
        world.clock.pass(2 * 3600 * 1000)
        const { openUrl: _none, ...options } = world.options(who)
        await world.bench.token(world.server(who), options)
      },
      ({ signedIn }) => signedIn[who]!,
    ),
  ),
  fc.constant(command('all tokens expire here', async (_model, world) => world.clock.pass(2 * 3600 * 1000))),
  fc
    .nat(1)
    .map((tenant) =>
      command(`tenant ${tenant + 1} refuses its access tokens`, async () =>
        tenants[tenant]!.expireAccessTokens(),
      ),
    ),
  fc.constant(command('a new process', async (_model, world) => world.restart())),
]

test(`a request carries a token of its own identity and resource, in ${runs} random histories (seed ${seed})`, {
  timeout: Math.max(60_000, runs * 10_000),
}, async () => {
  const histories = fc.commands<Model, World, false>(commands, { maxCommands: 16 })
  await fc.assert(
    fc.asyncProperty(histories, async (history) => {
      let world: World | undefined
      try {
        await fc.asyncModelRun(async () => {
          world = new World()
          await world.restart()
          return { model: { signedIn: IDENTITIES.map(() => false) }, real: world }
        }, history)
      } finally {
        await world?.end()
      }
    }),
    { numRuns: runs, seed },
  )
  for (const { errors } of tenants) expect(errors).toEqual([])
})
