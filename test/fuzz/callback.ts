import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { get, type Server } from 'node:http'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { createLoopbackReceiver } from '../../src/node/loopback-receiver.ts'
import type { AuthorizationRequest } from '../../src/oauth/authorization-request.ts'
import { processAuthorizationResponse } from '../../src/oauth/authorization-response.ts'
import type { ExpectedRedirect, PendingRedirect, RedirectListener, RedirectOutcome } from '../../src/ports.ts'
import { broken, hostilePiece, noise, word } from './broken-text.ts'
import { assertIsAnswer, type CallbackAnswer, readAnswers } from './callback-answer.ts'
import type { FuzzTarget } from './fuzz-target.ts'
import { assertKeepsSecret, assertPrototypesClean, outcomeOf } from './invariants.ts'

export interface CallbackInput {
  /** Bytes on the wire, as the characters U+0000 to U+00FF; `{port}`, `{start}`, `{done}` and such are filled in. */
  readonly bytes: string
  /** In how many pieces they come. */
  readonly pieces: number
  /** What the server and the person called themselves: it ends on the pages. */
  readonly names: string
  /** Whether the person has to confirm the host of the sign-in page. */
  readonly confirms: boolean
}

const PLAIN = 'linear'
const ISSUER = 'https://as.example.com'
const VERIFIER = 'v3r1f13r-MNBVCXZLKJHGFDSAPOIUYTREWQ_abcdefg'

const encoded = (text: string): string => encodeURIComponent(text.replace(/\p{Cs}/gu, ''))
const parameter = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('state={state}', 'code=c0de', `iss=${encoded(ISSUER)}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('state=other', 'iss=https://evil.example', 'error=access_denied', 'code='),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom('error', 'error_description', 'error_uri', 'state', 'x', '__proto__'),
        hostilePiece,
      )
      .map(([name, text]) => `${name}=${encoded(`a${text}b`)}`),
  },
  { weight: 1, arbitrary: fc.tuple(word, word).map(([name, text]) => `${name}=${text}`) },
)
const query = fc.oneof(
  { weight: 1, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constant(`?code=c0de&state={state}&iss=${encoded(ISSUER)}`) },
  { weight: 3, arbitrary: fc.array(parameter, { maxLength: 5 }).map((all) => `?${all.join('&')}`) },
  {
    weight: 2,
    arbitrary: fc.array(parameter, { maxLength: 4 }).map((all) => `?state={state}&${all.join('&')}`),
  },
)
const path = fc.oneof(
  { weight: 6, arbitrary: fc.constant('/callback') },
  { weight: 3, arbitrary: fc.constantFrom('{start}', '{continue}', '{decline}', '{done}') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '/',
      '/callback/',
      '//callback',
      '/../callback',
      '*',
      '/start/x',
      '/%63allback',
      '',
    ),
  },
)
const header = fc.oneof(
  fc.constantFrom(
    'Sec-Purpose: prefetch',
    'Purpose: prefetch',
    'Cookie: a=b',
    'Content-Length: 3',
    'Expect: x',
  ),
  fc.constantFrom(
    'Transfer-Encoding: chunked',
    'Connection: upgrade',
    'Upgrade: h2c',
    'Connection: keep-alive',
  ),
  fc.constantFrom(
    'Host: evil.example',
    'Host: localhost:{port}',
    'Content-Length: -1',
    'Expect: 100-continue',
  ),
  fc.tuple(word, word).map(([name, text]) => `${name}: ${text}`),
)
const request = fc
  .record({
    method: fc.oneof(
      { weight: 9, arbitrary: fc.constant('GET') },
      { weight: 1, arbitrary: fc.constantFrom('HEAD', 'POST', 'OPTIONS', 'CONNECT', 'PUT', 'get', 'PRI') },
    ),
    path,
    query,
    version: fc.oneof(
      { weight: 12, arbitrary: fc.constant('1.1') },
      { weight: 1, arbitrary: fc.constantFrom('1.0', '2.0', '0.9', '') },
    ),
    host: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom('localhost:{port}', '127.0.0.1:{port}') },
      {
        weight: 1,
        arbitrary: fc.constantFrom('evil.example', '', 'localhost', '[::1]:{port}', 'LOCALHOST:{port}'),
      },
    ),
    headers: fc.oneof(
      { weight: 2, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(header, { maxLength: 3 }) },
    ),
  })
  .map(({ method, path: target, query: asked, version, host, headers }) =>
    [`${method} ${target}${asked} HTTP/${version}`, `Host: ${host}`, ...headers, '', ''].join('\r\n'),
  )
const requests = fc.oneof(
  { weight: 6, arbitrary: request },
  { weight: 3, arbitrary: broken(request) },
  { weight: 1, arbitrary: fc.tuple(request, request).map(([first, second]) => first + second) },
  { weight: 1, arbitrary: noise },
)

/** What comes to the loopback port, on the real server over a connection in memory, and the pages it answers with. */
export const callbackTarget: FuzzTarget<CallbackInput> = {
  name: 'callback',
  inputs: fc.record({
    bytes: requests.map((text) => Buffer.from(text).toString('latin1')),
    pieces: fc.oneof(
      { weight: 6, arbitrary: fc.constant(1) },
      { weight: 1, arbitrary: fc.integer({ min: 2, max: 5 }) },
    ),
    names: fc.oneof(
      { weight: 2, arbitrary: fc.constant(PLAIN) },
      { weight: 1, arbitrary: broken(fc.constant('a server')) },
    ),
    confirms: fc.oneof(
      { weight: 4, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
  }),
  fromBytes: (bytes) => ({
    bytes: bytes.subarray(1).toString('latin1'),
    pieces: 1 + ((bytes[0] ?? 0) % 3),
    names: bytes.subarray(1, 40).toString('utf8'),
    confirms: (bytes[0] ?? 0) > 200,
  }),

  async check(input) {
    // A listener keeps its sign-ins until it closes; in life it has one or two of them.
    if (inputs % 5000 === 4999) await closePort()
    port ??= openPort()
    await checkOn(await port, input)
    assertPrototypesClean()
  },
  close: closePort,
}

/** The port of the product, and the server behind it. */
interface Port {
  readonly listener: RedirectListener
  readonly server: Server
  readonly number: number
}

let port: Promise<Port> | undefined

async function openPort(): Promise<Port> {
  const listener = await createLoopbackReceiver().listen({
    host: '127.0.0.1',
    port: 0,
    path: '/callback',
    alternatives: [],
  })
  const { redirectUri } = listener
  let server: Server | undefined
  // Node tells which server a request came to: the product hands it to nobody.
  const hear = (message: unknown): void => {
    server = (message as { server: Server }).server
  }
  subscribe('http.server.request.start', hear)
  await new Promise<void>((resolve, reject) => {
    get(redirectUri, (answer) => answer.resume().once('end', resolve)).once('error', reject)
  })
  unsubscribe('http.server.request.start', hear)
  return { listener, server: server!, number: Number(new URL(redirectUri).port) }
}

async function closePort(): Promise<void> {
  const open = await port
  port = undefined
  await open?.listener.close()
}

let inputs = 0

async function checkOn({ listener, server, number }: Port, input: CallbackInput): Promise<void> {
  // A finished sign-in is remembered for a while with its state.
  const state = `st4t3-${++inputs}-ZAQ12WSXCDE34RFV`
  const expected: ExpectedRedirect = {
    state,
    authorizationUrl: `${ISSUER}/authorize?state=${state}`,
    serverName: input.names,
    loginCommand: `latchkey login ${input.names}`,
    serverHost: input.names,
    authorizationHost: input.names,
    ...(input.confirms && { confirmAgainst: input.names }),
  }
  const signIn = listener.expect(expected)
  const settled = settlementOf(signIn)
  try {
    const bytes = filled(input.bytes, { ...pathsOf(signIn), state, port: String(number) })
    const connection = connect(server, bytes, input.pieces)
    await connection.turn()
    const { parameters, error } = settled
    if (parameters) assertIsOurs(parameters, bytes, { state, number })
    if (parameters || error) signIn.finish(await outcomeFor(parameters, state))
    const answers = await connection.end()
    for (const answer of answers) assertIsAnswer(answer)
    await assertPages(server, answers, number)
  } finally {
    // Also where nothing came: names that are worth a look are shown on its page.
    const { names } = input
    signIn.finish({ kind: 'error', title: names, message: names, remedy: `\`${names}\``, code: names })
    if (names !== PLAIN) await fetchPage(server, pathsOf(signIn).done!, number)
  }
}

/** What the sign-in was settled with, without waiting for it. */
function settlementOf(signIn: PendingRedirect): { parameters?: URLSearchParams; error?: unknown } {
  const settled: { parameters?: URLSearchParams; error?: unknown } = {}
  signIn.response.then(
    (parameters) => {
      settled.parameters = parameters
    },
    (error: unknown) => {
      settled.error = error
    },
  )
  return settled
}

function pathsOf(signIn: PendingRedirect): Record<string, string> {
  const { startPath, continuePath, declinePath, donePath } = signIn as unknown as Record<string, string>
  return { start: startPath!, continue: continuePath!, decline: declinePath!, done: donePath! }
}

function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(start|continue|decline|done|state|port)\}/g, (_, name: string) => values[name]!)
}

/** A sign-in takes an answer only from a GET of its path, with its state, for this very host. */
function assertIsOurs(
  parameters: URLSearchParams,
  bytes: string,
  { state, number }: { readonly state: string; readonly number: number },
): void {
  assert.deepEqual(parameters.getAll('state'), [state])
  assert.match(bytes, /GET +\/callback\?/)
  assert.match(bytes.toLowerCase(), new RegExp(`host:[ \\t]*(localhost|127\\.0\\.0\\.1|\\[::1\\]):${number}`))
}

const REQUEST: Omit<AuthorizationRequest, 'state'> = {
  url: `${ISSUER}/authorize`,
  issuer: ISSUER,
  clientId: 'client',
  redirectUri: 'http://localhost:8080/callback',
  scope: undefined,
  resource: undefined,
  codeVerifier: VERIFIER,
}
const CODES = [
  ...(['authorization_response_invalid', 'issuer_mismatch'] as const),
  ...(['authorization_refused', 'redirect_uri_refused'] as const),
]

/** The answer is judged as the product judges it, and what it says of that is on the page. */
async function outcomeFor(parameters: URLSearchParams | undefined, state: string): Promise<RedirectOutcome> {
  if (!parameters) return { kind: 'cancelled' }
  const metadata = {
    issuer: ISSUER,
    token_endpoint: `${ISSUER}/token`,
    authorization_response_iss_parameter_supported: true,
  }
  const outcome = await outcomeOf(
    () => processAuthorizationResponse(parameters, { ...REQUEST, state }, metadata),
    CODES,
  )
  if ('value' in outcome) {
    assert.equal(parameters.get('iss'), ISSUER)
    assert.equal(parameters.get('error'), null)
    return { kind: 'success' }
  }
  const { error } = outcome
  assertKeepsSecret(error.message, [state, VERIFIER])
  return { kind: 'error', message: error.summary, remedy: error.remedy, code: error.code }
}

/** A held callback leads to the page of the outcome; a browser follows. */
async function assertPages(
  server: Server,
  answers: readonly CallbackAnswer[],
  number: number,
): Promise<void> {
  for (const { status, headers } of answers) {
    const location = headers.get('location')
    if (location === undefined) continue
    assert.match(
      location,
      status === 303 ? /^\/done\/[\w-]{22}$/ : /^https:\/\/as\.example\.com\/authorize\?state=/,
    )
    if (status === 303) await fetchPage(server, location, number)
  }
}

async function fetchPage(server: Server, target: string, number: number): Promise<void> {
  const connection = connect(server, `GET ${target} HTTP/1.1\r\nHost: localhost:${number}\r\n\r\n`, 1)
  await connection.turn()
  const [answer] = await connection.end()
  assert.ok(answer, `no answer at ${target}`)
  assert.match(answer.headers.get('content-type') ?? '', /^text\/html/)
  assertIsAnswer(answer)
}

/** A connection in memory: the server reads what is sent, and all that it writes is kept. */
function connect(server: Server, bytes: string, pieces: number) {
  const written: Buffer[] = []
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk)
      done()
    },
  })
  const ended = new Promise<void>((resolve) => {
    socket.once('finish', resolve).once('close', resolve).on('error', resolve)
  })
  server.emit('connection', socket)
  const raw = Buffer.from(bytes, 'latin1')
  const length = Math.max(1, Math.ceil(raw.length / pieces))
  for (let sent = 0; sent < raw.length; sent += length) socket.push(raw.subarray(sent, sent + length))
  return {
    /** Everything that was sent is read, and answered where it can be. */
    turn: () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve))),
    async end(): Promise<CallbackAnswer[]> {
      if (!socket.writableEnded && !socket.destroyed) socket.push(null)
      await ended
      socket.destroy()
      return readAnswers(Buffer.concat(written))
    },
  }
}
