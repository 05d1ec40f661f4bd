import { VERSION } from '../version.ts'

const OVERVIEW = `latchkey ${VERSION}: signs you in to MCP servers

  latchkey login SERVER              sign in with your browser
  latchkey status [SERVER]           who you are where, and for how long (asks no network)
  latchkey logout SERVER | --all     end a login: at the server where it can, and here
  latchkey tools SERVER              list the tools of a server
  latchkey call SERVER TOOL [ARGS]   call a tool
  latchkey token SERVER              print an access token for another program
  latchkey exec SERVER -- COMMAND    run a program with an access token in its environment
  latchkey import PROGRAM [SERVER]   take over the logins of mcp-use or mcp-remote
  latchkey trust FILE                let a config file of a project be used

SERVER is a name from the config file, or a URL.

  --config FILE     read this file (else $LATCHKEY_CONFIG, else latchkey/mcp.json in
                    $XDG_CONFIG_HOME or ~/.config; besides, ./mcp.json or ./.mcp.json
                    once it is trusted)
  --account NAME    which of several logins at a server
  --json            print one JSON document, errors too
  --debug           show every request (also LATCHKEY_DEBUG=1); no secrets
  --help            more about a command: latchkey login --help
  --version

Exit codes: 0 done, 1 failed, 2 usage or config, 3 network, 4 login required,
5 refused by the server, 130 cancelled.
`

const SIGN_IN_FLAGS = `  --account NAME               keep this login apart from others at the server
  --client-id ID               a client you registered at the provider by hand
  --client-secret-env NAME     the variable that holds its secret
  --client-secret-stdin        read its secret from standard input
  --store PLACE                file, keychain, auto or memory: where logins are kept
                               (default $LATCHKEY_STORE, else file)
  --scope SCOPES               ask for these: --scope "repo read:user"
  --callback-port PORT         wait for the browser on this port, no other (default 8080)
  --redirect-uri URI           the whole loopback URI instead, as it is registered
  --client-metadata-url URL    a Client ID Metadata Document
  --dpop                       tokens bound to a key, proven with every request
  --interactive auto|always|never
                               open a browser: at a terminal (auto), also elsewhere, never
  --timeout SECONDS            give up after this long (default 300)
`

const CLIENT_FLAGS = `  --account NAME               which of several logins at the server
  --client-id ID               the login of this pre-registered client
  --client-secret-env NAME     the variable that holds its secret
  --client-secret-stdin        read its secret from standard input
  --store PLACE                file, keychain, auto or memory: where logins are kept
                               (default $LATCHKEY_STORE, else file)
`

/** By command; typed loosely, so that the small entry does not load the commands. */
const TOPICS: Readonly<Record<string, string>> = {
  login: `latchkey login SERVER [flags]

Signs in to a server with your browser, and keeps the login. Flags go before what the
config file says.

${SIGN_IN_FLAGS}  --force                      make the server ask who you are, and register a new client
`,
  logout: `latchkey logout SERVER [flags]
latchkey logout --all

Ends a login at the server (where it offers that) and deletes it here. Exit code 1 when the
server could be asked but did not do it: the login is gone here, and may live on there.
--all ends every login that is stored, also of servers that are in no config file.

${CLIENT_FLAGS}`,
  status: `latchkey status [SERVER] [flags]

Shows what is known of every server, or of one: method, account, issuer, client, scope,
expiry, where the login is stored, and what to type next. Asks no network.

Exit code 4 when something has to be done: a login has expired for good, or the server that
was named needs a login. (Whether a server that was never signed in to needs one is not
known before it is asked.) Exit code 2 when an entry of the config file cannot be used,
1 when a stored login cannot be read.

  --account NAME               which of several logins at the server
  --client-id ID               the login of this pre-registered client
  --store PLACE                file, keychain, auto or memory: where logins are kept
                               (default $LATCHKEY_STORE, else file)
`,
  tools: `latchkey tools SERVER [flags]

Connects, signs in if need be, and lists the tools of a server with their arguments.

${SIGN_IN_FLAGS}`,
  call: `latchkey call SERVER TOOL [ARGS] [flags]

Calls a tool and prints the text it answers with. Exit code 1 when the tool reports an error.

ARGS is one JSON object, or - to read it from standard input, or words:
  text=hello      a value of the type that the tool asks for
  limit:=10       any JSON
  -- -x=1         words after -- are never flags

${SIGN_IN_FLAGS}`,
  token: `latchkey token SERVER [flags]

Prints an access token that works now, renewed if need be, and nothing else. Never opens a
browser: exit code 4 when a login is needed.

${CLIENT_FLAGS}`,
  exec: `latchkey exec SERVER [flags] -- COMMAND [ARGS]

Runs a program, without a shell, with an access token that works now in its environment:
nobody else sees it. Signals are passed on, and the exit code is the program's (128+n when
signal n ended it, 127 when it was not found, 126 when it could not be run). Never opens a
browser: exit code 4 when a login is needed, and the program is not started.

  --env NAME                   the variable that gets the token (default LATCHKEY_TOKEN)
${CLIENT_FLAGS}`,
  import: `latchkey import mcp-use [SERVER] [flags]
latchkey import mcp-remote [SERVER] [flags]

Takes over the logins that another program keeps for the servers of your config file, or for
one (a name, or a URL). Each is renewed once to prove it, and is latchkey's from then on:
the other program's files are renamed to NAME.imported. mcp-remote is looked for in
~/.mcp-auth or $MCP_REMOTE_CONFIG_DIR, mcp-use in ~/.mcp_use/tokens and ~/.mcp-use/oauth.

Where the files do not say which authorization server a login is from, you are asked before
anything is sent to the one that the MCP server names.

  --dry-run                    show what would be taken; asks no network, changes nothing
  --yes                        send it to the authorization server that the server names
  --force                      take it also where latchkey has a login already
${CLIENT_FLAGS}`,
  trust: `latchkey trust FILE [--forget]
latchkey trust --list

Vouches for a config file: in the folder it is in its servers are known by name, the
variables in it are replaced, and its programs are started. Prints what each server gets.
Remembered by path and content; once it changes, look at it and trust it again.
`,
}

/** The answer to a command line that asks for the version or for help, if it does. */
export function answerAtOnce(argv: readonly string[]): string | undefined {
  const [first, second] = argv
  if (first === '--version' || first === '-V') return `${VERSION}\n`
  if (first === undefined) return undefined
  const end = argv.indexOf('--')
  const asked = argv.slice(0, end === -1 ? argv.length : end)
  if (first === 'help') return helpOn(second)
  return asked.includes('--help') || asked.includes('-h') ? helpOn(first) : undefined
}

function helpOn(topic: string | undefined): string {
  return topic !== undefined && Object.hasOwn(TOPICS, topic) ? TOPICS[topic]! : OVERVIEW
}
