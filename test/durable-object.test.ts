import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Miniflare } from 'miniflare'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { StoredRecord } from '../src/ports.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { visit } from './fixtures/consent-browser.mjs'
import { startLoopbackServer } from './fixtures/loopback-server.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { expired, storedLogins } from './fixtures/stored-logins.ts'
import { openWorkbench } from './fixtures/workbench.ts'
import { startWorker } from './fixtures/workerd.ts'
import type { WorkerAnswer, WorkerJob } from './fixtures/workers/logins-object.ts'

// The store of examples/durable-object, on workerd.

let folder: string
let worker: Miniflare
let authorizationServer: AuthorizationServer
let server: McpServerFixture
const opened: { close(): Promise<void> }[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-durable-'))
  worker = await newWorker()
  authorizationServer = await startAuthorizationServer()
  server = await startProtectedServer(authorizationServer)
  opened.push(authorizationServer, server)
})
afterEach(async () => {
  await worker.dispose()
  await Promise.all(opened.splice(0).map((each) => each.close()))
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
})

function newWorker(): Promise<Miniflare> {
  return startWorker({
    entry: 'logins-object.ts',
    alias: { latchkey: fileURLToPath(new URL('../src/index.ts', import.meta.url)) },
    durableObjects: { LOGINS: 'Logins' },
    durableObjectsPersist: folder,
  })
}

/** Each job is a request of its own. */
async function ask(does: WorkerJob['does'], job: Partial<WorkerJob> = {}): Promise<WorkerAnswer> {
  const all = { does, server: { name: 'demo', url: server.url }, ...job }
  const response = await worker.dispatchFetch('http://worker.example/', {
    method: 'POST',
    body: JSON.stringify(all),
  })
  return (await response.json()) as WorkerAnswer
}

/** A login that a person made on another machine, whose access token ended a minute ago. */
async function expiredLogin(): Promise<StoredRecord[]> {
  const bench = await openWorkbench()
  opened.push(bench)
  await bench.login({ name: 'demo', url: server.url })
  authorizationServer.requests.clear()
  return (await storedLogins(bench.home)).map((each) => ({ ...each, record: expired(each.record) }))
}

const text = (words: string) => [{ type: 'text', text: words }]

test('a login and its renewal survive the end of the runtime', async () => {
  const records = await expiredLogin()
  expect(await ask('call', { records, tools: ['whoami'] })).toMatchObject({ result: [text('alice')] })
  await worker.dispose()
  worker = await newWorker()
  expect(await ask('call', { tools: ['whoami'] })).toMatchObject({ result: [text('alice')] })
  expect(await ask('status')).toMatchObject({
    result: { state: 'signed_in', location: 'the storage of this Durable Object' },
  })
  expect(authorizationServer.requests.lines()).toEqual(['POST /token'])
  expect(await ask('logout')).toMatchObject({ result: 'revoked' })
  expect(await ask('stored')).toMatchObject({ result: [] })
})

test('a caller that gives up leaves the renewal to go on, and the next one uses it', async () => {
  const records = await expiredLogin()
  let answer = () => {}
  const answered = new Promise<void>((resolve) => {
    answer = resolve
  })
  authorizationServer.intercept = async ({ pathname }) => {
    if (pathname === '/token') await answered
    return undefined
  }
  const left = await ask('fetch', { records, within: 500 })
  expect(left).toMatchObject({ error: { message: expect.stringContaining('TimeoutError') } })
  answer()
  expect(await ask('call', { tools: ['whoami'] })).toMatchObject({ result: [text('alice')] })
  expect(authorizationServer.requests.to('/token')).toHaveLength(1)
})

test('users sign in by two requests, each account apart', async () => {
  const application = await startLoopbackServer()
  opened.push(application)
  const redirectUri = `${application.origin}/oauth/callback`
  const { result } = await ask('begin', { account: 'user-1', redirectUri })
  await visit((result as { authorizationUrl: string }).authorizationUrl, { user: 'bob' })
  const response = application.requests.at(-1)!.path
  expect(await ask('complete', { account: 'user-2', response })).toMatchObject({
    error: { code: 'authorization_response_invalid' },
  })
  expect(await ask('complete', { account: 'user-1', response })).toMatchObject({
    result: { state: 'signed_in', account: 'user-1' },
  })
  expect(await ask('call', { account: 'user-1', tools: ['whoami'] })).toMatchObject({ result: [text('bob')] })
})
