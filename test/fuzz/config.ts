import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseEnvFile } from '../../src/config/env-file.ts'
import { definitionsFromDict, definitionsFromText } from '../../src/config/mcp-servers.ts'
import { parseConfigText } from '../../src/config/parse.ts'
import type { LoadedConfig, ServerDefinition } from '../../src/definitions.ts'
import { brokenDocument, jsonObject, listOf, oneOf, stringLike } from './broken-json.ts'
import { broken, hostilePiece } from './broken-text.ts'
import type { FuzzTarget } from './fuzz-target.ts'
import {
  assertKeepsSecret,
  assertPlain,
  assertPrototypesClean,
  assertShowable,
  outcomeOf,
} from './invariants.ts'

export interface ConfigInput {
  /** A config file that may read variables, one that may not, an object of a program, or an `envFile`. */
  readonly of: 'trusted' | 'untrusted' | 'dict' | 'env'
  readonly text: string
}

/** Stand where a configuration holds secrets, and nowhere in a message. */
const WRITTEN = ['wr1tt3n_QAZXSWEDCVFR', 'w0rds-PLMOKNIJBUHVYG']
const EVIL_HOST = 'evil.example'
const ENVIRONMENT = {
  SECRET: '3nv1r0nm3nt_TGBYHNUJMIK',
  EMPTY: '',
  PATH_PART: 'a/../../b',
  SEPARATORS: `@${EVIL_HOST}/`,
  DOT_HOST: `.${EVIL_HOST}`,
  BACKSLASH: `\\${EVIL_HOST}`,
  LINES: '1\r\nx: y',
}
const SECRETS = [...WRITTEN, ENVIRONMENT.SECRET]

const secret = fc.oneof(
  oneOf(...WRITTEN),
  oneOf(
    '${SECRET}',
    '${env:SECRET}',
    'x${SECRET}y',
    '${MISSING:-d}',
    '${EMPTY:-d}',
    '${MISSING}',
    '${LINES}',
  ),
)
const url = fc.oneof(
  stringLike('https://mcp.example.com/mcp', 'http://localhost:3000/mcp', 'https://mcp.example.com/?key=1#x'),
  fc
    .tuple(
      fc.constantFrom(
        'https://',
        'https:',
        '//',
        'http://127.0.0.1',
        'HTTPS://mcp.example.com',
        'https://h',
        '',
      ),
      fc.oneof(hostilePiece, fc.constantFrom(...Object.keys(ENVIRONMENT).map((name) => `\${${name}}`))),
      fc.constantFrom('mcp.example.com', '', '/', ':80/', '.example/x', '?a'),
      fc.constantFrom('', ...Object.keys(ENVIRONMENT).map((name) => `\${${name}}`)),
    )
    .map((parts) => JSON.stringify(parts.join(''))),
)
const auth = fc.oneof(
  secret,
  oneOf(false, null, {}),
  jsonObject({
    client_id: stringLike('client'),
    client_secret: secret,
    scope: stringLike('a b', '${SECRET}'),
    callback_port: oneOf(8080, 70000),
    redirect_uri: stringLike('http://localhost:8080/callback', 'http://localhost:8081/cb'),
    client_metadata_url: url,
    resource: url,
    account: stringLike('work'),
    authorization_hosts: listOf(stringLike('login.example.com', '${SECRET}')),
    oauth_provider: jsonObject({
      id: stringLike('acme'),
      display_name: stringLike('Acme'),
      metadata: jsonObject({
        issuer: url,
        authorization_endpoint: url,
        token_endpoint: url,
        code_challenge_methods_supported: listOf(stringLike('S256')),
      }),
    }),
  }),
  jsonObject({
    grant: stringLike('client_credentials', 'jwt-bearer', 'id-jag'),
    client_id: stringLike('client'),
    issuer: url,
    private_key: secret,
    private_key_file: stringLike('key.pem'),
    signing_algorithm: stringLike('ES256'),
    assertion: secret,
    idp: jsonObject({ issuer: url, client_id: stringLike('idp'), client_secret: secret, id_token: secret }),
  }),
)
const httpServer = jsonObject({
  url,
  type: stringLike('http', 'sse', 'streamable-http'),
  headers: jsonObject({ 'X-Api-Key': secret, accept: stringLike('x') }),
  auth,
  disabled: oneOf(true, false),
  timeout: oneOf(1000),
})
const headerServer = jsonObject({ url, headers: jsonObject({ Authorization: secret }) })
const plainServer = jsonObject({ url, oauth: auth })
const stdioServer = jsonObject({
  command: stringLike('npx', 'node'),
  args: listOf(fc.oneof(stringLike('-y', '.'), secret)),
  env: jsonObject({ API_KEY: secret, DEBUG: oneOf(1, true) }),
  envFile: stringLike('.env'),
  cwd: stringLike('/tmp'),
})
const server = fc.oneof(httpServer, headerServer, plainServer, stdioServer)
const table = jsonObject({ linear: server, github: server }, ['linear', 'github'])
const oneServer = jsonObject({ linear: server })
const document = fc.oneof(
  { weight: 5, arbitrary: jsonObject({ mcpServers: oneServer }) },
  { weight: 2, arbitrary: jsonObject({ mcpServers: table, projects: oneOf({}) }) },
  { weight: 1, arbitrary: jsonObject({ servers: oneServer }) },
  { weight: 1, arbitrary: jsonObject({ mcp: jsonObject({ servers: oneServer }) }) },
)
const commented = document.map((text) => text.replaceAll('",', '", // a note\n').replaceAll('}', ',/* x */}'))
const envFile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'A=1',
        'export B="x\\n\\"y"',
        "C='#'",
        'D=`a\nb` # c',
        '# note',
        '',
        'E= x # y',
        'F',
        'G="',
      ),
      hostilePiece.map((piece) => `H=${piece} # ${piece}`),
      hostilePiece.map((piece) => `${piece}="${piece}`),
    ),
    { maxLength: 8 },
  )
  .map((lines) => lines.join('\n'))

/** What stands in config files, and in the files of variables that they name. */
export const configTarget: FuzzTarget<ConfigInput> = {
  name: 'config',
  inputs: fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        of: fc.constantFrom('trusted' as const, 'untrusted' as const, 'dict' as const),
        text: brokenDocument(
          fc.oneof({ weight: 4, arbitrary: document }, { weight: 1, arbitrary: commented }),
        ),
      }),
    },
    { weight: 1, arbitrary: fc.record({ of: fc.constant('env' as const), text: broken(envFile) }) },
  ),
  fromBytes: (bytes) => ({
    of: (['trusted', 'untrusted', 'dict', 'env'] as const)[(bytes[0] ?? 0) % 4]!,
    text: bytes.subarray(1).toString('utf8'),
  }),

  async check({ of, text }) {
    if (of === 'env') await checkEnvFile(text)
    else await checkConfig(of, text)
    assertPrototypesClean()
  },
}

const PATH = '/home/jane/.config/latchkey/mcp.json'

async function checkEnvFile(text: string): Promise<void> {
  const outcome = await outcomeOf(() => parseEnvFile(text, PATH), ['config_invalid'])
  if ('error' in outcome) return
  assertPlain(outcome.value)
  for (const [name, value] of Object.entries(outcome.value)) {
    assert.match(name, /^[A-Za-z_][\w.-]*$/)
    assert.ok(!value.includes('\0'))
  }
}

async function checkConfig(of: 'trusted' | 'untrusted' | 'dict', text: string): Promise<void> {
  const outcome = await outcomeOf(() => read(of, text), ['config_invalid'])
  if ('error' in outcome) {
    assertKeepsSecret(outcome.error.message, SECRETS)
    return
  }
  const { definitions, warnings } = outcome.value
  for (const { message, server: name } of warnings) {
    assertShowable(`${message}${name}`)
    assertKeepsSecret(`${message}${name}`, SECRETS)
  }
  for (const definition of definitions) {
    assertShowable(definition.name)
    if (definition.kind === 'invalid') {
      const { error } = definition
      await outcomeOf(() => Promise.reject(error), ['config_invalid', 'config_untrusted'])
      assertKeepsSecret(`${error.message}${JSON.stringify(error)}`, SECRETS)
    } else assertIsUsable(definition, of, text)
  }
}

function read(of: 'trusted' | 'untrusted' | 'dict', text: string): LoadedConfig {
  if (of === 'dict') return definitionsFromDict(parseConfigText(text, PATH) as object)
  return definitionsFromText(text, {
    path: PATH,
    env: ENVIRONMENT,
    expansion: of === 'trusted' ? 'allowed' : 'refused',
    versionControlled: true,
  })
}

function assertIsUsable(definition: ServerDefinition, of: string, text: string): void {
  // Keys that nobody knows are kept as they were written, and never shown or used.
  const { unknownKeys: _unknown, ...known } = definition
  assertPlain(known)
  if (of !== 'trusted') assert.ok(!JSON.stringify(known).includes(ENVIRONMENT.SECRET), 'a variable was read')
  if (known.kind === 'stdio') {
    assert.ok(
      ![known.command, ...known.args, ...Object.values(known.env)].some((word) => word.includes('\0')),
    )
    return
  }
  const { protocol, hostname, username, password, hash } = new URL(known.url)
  assert.ok(['https:', 'http:'].includes(protocol))
  assert.equal(`${username}${password}${hash}`, '')
  // Who controls a variable does not choose who gets the credentials.
  if (!text.includes(EVIL_HOST)) assert.ok(!hostname.includes(EVIL_HOST), `the host ${hostname}`)
  new Headers(known.headers)
}
