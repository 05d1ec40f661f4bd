/** Flags that take a value, and what the help calls it. */
export const VALUE_FLAGS = {
  config: 'FILE',
  account: 'NAME',
  'client-id': 'ID',
  'client-secret-env': 'NAME',
  scope: 'SCOPES',
  'callback-port': 'PORT',
  'redirect-uri': 'URI',
  'client-metadata-url': 'URL',
  interactive: 'auto|always|never',
  timeout: 'SECONDS',
  store: 'file|keychain|auto|memory',
  env: 'NAME',
} as const

/** Flags that are there or not. */
export const SWITCHES = [
  'json',
  'debug',
  'help',
  'force',
  'dpop',
  'all',
  'client-secret-stdin',
  'list',
  'forget',
  'dry-run',
  'yes',
] as const

export type ValueFlag = keyof typeof VALUE_FLAGS
export type Switch = (typeof SWITCHES)[number]
export type FlagName = ValueFlag | Switch

/** The flags that were given. */
export type Flags = { readonly [F in ValueFlag]?: string } & { readonly [S in Switch]?: true }

const GLOBAL: readonly FlagName[] = ['config', 'json', 'debug', 'help']
/** Which login is meant, and where it is. */
const IDENTITY: readonly FlagName[] = ['account', 'client-id', 'store']
/** What a confidential client needs to renew or revoke. */
const SECRET: readonly FlagName[] = ['client-secret-env', 'client-secret-stdin']
/** How a sign-in is done, wherever one may happen. */
const SIGN_IN: readonly FlagName[] = [
  'scope',
  'callback-port',
  'redirect-uri',
  'client-metadata-url',
  'dpop',
  'interactive',
  'timeout',
]

export interface CommandShape {
  readonly flags: readonly FlagName[]
  /** Names of the operands, for messages. */
  readonly operands: readonly string[]
  /** How many of them must be there. */
  readonly required: number
  /** Whether more may follow. */
  readonly rest?: boolean
  /** Whether the last operand is a program, which stands with its arguments after `--`. */
  readonly runs?: boolean
}

/** What each command takes. */
export const COMMANDS = {
  login: {
    flags: [...GLOBAL, ...IDENTITY, ...SECRET, ...SIGN_IN, 'force'],
    operands: ['SERVER'],
    required: 1,
  },
  logout: { flags: [...GLOBAL, ...IDENTITY, ...SECRET, 'all'], operands: ['SERVER'], required: 0 },
  status: { flags: [...GLOBAL, ...IDENTITY], operands: ['SERVER'], required: 0 },
  tools: { flags: [...GLOBAL, ...IDENTITY, ...SECRET, ...SIGN_IN], operands: ['SERVER'], required: 1 },
  call: {
    flags: [...GLOBAL, ...IDENTITY, ...SECRET, ...SIGN_IN],
    operands: ['SERVER', 'TOOL'],
    required: 2,
    rest: true,
  },
  token: { flags: [...GLOBAL, ...IDENTITY, ...SECRET], operands: ['SERVER'], required: 1 },
  exec: {
    // Without --json: the output is the program's.
    flags: ['config', 'debug', 'help', ...IDENTITY, ...SECRET, 'env'],
    operands: ['SERVER', 'COMMAND'],
    required: 2,
    rest: true,
    runs: true,
  },
  import: {
    flags: [...GLOBAL, ...IDENTITY, ...SECRET, 'force', 'dry-run', 'yes'],
    operands: ['PROGRAM', 'SERVER'],
    required: 1,
  },
  trust: { flags: [...GLOBAL, 'list', 'forget'], operands: ['FILE'], required: 0 },
} as const satisfies Record<string, CommandShape>

export type CommandName = keyof typeof COMMANDS
