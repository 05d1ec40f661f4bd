// Does the cost of a login grow with the number of logins? Measures every store with 10 accounts and with very many, in turns
// on the same medium, and prints the medians and their ratio. `npm run bench:stores`, with Redis and PostgreSQL at
// LATCHKEY_TEST_REDIS_URL and LATCHKEY_TEST_POSTGRES_URL; what is not there is left out.
//
// The many are copies: of the length and place of a sealed record, but without its content.
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const FEW = 10
const MANY = Number(process.env.BENCH_ACCOUNTS ?? 1_000_000)
const MANY_FILES = Math.min(MANY, 10_000)
const ROUNDS = 300

const root = fileURLToPath(new URL('..', import.meta.url))
const { connectPostgres, connectRedis, createFileStore, createPostgresStore, createRedisStore } = await load()

const keys = { current: 'k1', keys: { k1: randomBytes(32) } }
const SERVER = 'https://mcp.example.com/mcp'
const keyOf = (account) => ({
  kind: 'tokens',
  serverDomain: 'mcp.example.com',
  account,
  identity: { server_url: SERVER, configured_client_id: null },
})
const recordOf = (key) => ({
  ...key.identity,
  issuer: 'https://login.example.com',
  client_id: 'a-client-that-was-registered',
  token_endpoint: 'https://login.example.com/token',
  access_token: 'a'.repeat(400),
  refresh_token: 'r'.repeat(60),
  expires_at: 1_800_000_000,
})

const started = performance.now()
const seconds = () => ((performance.now() - started) / 1000).toFixed(0)
console.log(
  `store      operation         ${FEW} accounts      many accounts   ratio   (medians of ${ROUNDS}, in turns)`,
)
for (const bench of [file, redis, postgres]) await bench()
console.log(`done in ${seconds()} s`)

/** The sources as one module, beside the packages that stay outside. */
async function load() {
  const cache = join(root, 'node_modules/.cache')
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'bench-'))
  const outfile = join(folder, 'stores.mjs')
  const contents = `
    export * from './src/node/file-store.ts'
    export * from './src/stores/redis.ts'
    export * from './src/stores/postgres.ts'
    export * from './test/fixtures/databases.ts'`
  try {
    await build({
      stdin: { contents, resolveDir: root, loader: 'ts' },
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      packages: 'external',
      logLevel: 'warning',
    })
    return await import(outfile)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function fill(store) {
  for (let number = 0; number < FEW; number++) {
    const key = keyOf(`account ${number}`)
    await store.write(key, recordOf(key))
  }
}

/** Both stores do the same, one after the other, each time in another order. */
async function compare(name, few, many, count) {
  const key = keyOf('account 5')
  const operations = {
    read: (store) => store.read(key),
    'compare and swap': async (store) => {
      const { revision } = await store.read(key)
      return store.write(key, recordOf(key), { ifRevision: revision })
    },
    'list one account': (store) =>
      store.list({ kind: 'tokens', serverDomain: key.serverDomain, account: key.account }),
    'lock and release': async (store) => (await store.lock(key)).release(),
  }
  for (const [operation, run] of Object.entries(operations)) {
    const times = { few: [], many: [] }
    for (let round = -20; round < ROUNDS; round++) {
      const turns = [
        ['few', few],
        ['many', many],
      ]
      for (const [which, store] of round % 2 ? turns : turns.reverse()) {
        const before = performance.now()
        await run(store)
        if (round >= 0) times[which].push(performance.now() - before)
      }
    }
    const [one, other] = [median(times.few), median(times.many)]
    const cells = [`${one.toFixed(3)} ms`, `${other.toFixed(3)} ms at ${count.toLocaleString('en')}`]
    console.log(
      `${name.padEnd(11)}${operation.padEnd(18)}${cells[0].padEnd(15)}${cells[1].padEnd(24)}${(other / one).toFixed(2)}`,
    )
  }
}

function median(times) {
  return times.sort((a, b) => a - b)[times.length >> 1]
}

async function file() {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-bench-'))
  const open = (name) => createFileStore({ home: join(folder, name), emit: () => {} })
  const [few, many] = [open('few'), open('many')]
  try {
    await Promise.all([fill(few), fill(many)])
    const path = many.locate(keyOf('account 5'))
    const text = await readFile(path, 'utf8')
    for (let number = FEW; number < MANY_FILES; number++) {
      const account = `account ${number}`
      const name = createHash('sha256').update(account).digest('hex').slice(0, 32)
      await writeFile(join(dirname(path), `${name}.json`), text.replace('account 5', account), {
        mode: 0o600,
      })
    }
    await compare('file', few, many, MANY_FILES)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function redis() {
  const client = await connectRedis().catch(() => undefined)
  if (!client) return console.log('redis      is not there')
  const name = `latchkey-bench-${randomBytes(6).toString('hex')}`
  const [few, many] = ['few', 'many'].map((size) =>
    createRedisStore({ client, keys, prefix: `${name}:${size}:` }),
  )
  /** For each number of a range, in the server and in steps that do not block it for long. */
  const eachNumber = async (body) => {
    const step = 10_000
    for (let from = FEW; from < MANY; from += step) {
      const script = `for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do local id = redis.sha1hex(n) .. 'abc' ${body} end`
      const [first, last] = [from, Math.min(from + step, MANY) - 1]
      await client.eval(script, { keys: [`${name}:many:`], arguments: [String(first), String(last), value] })
    }
  }
  let value = ''
  try {
    await Promise.all([fill(few), fill(many)])
    const [sample] = await client.keys(`${name}:few:record:*`)
    value = await client.get(sample)
    const before = performance.now()
    await eachNumber(`
      local account = string.sub(redis.sha1hex(id), 1, 16)
      redis.call('SET', KEYS[1] .. 'record:' .. id, ARGV[3])
      redis.call('ZADD', KEYS[1] .. 'tokens-by-domain', 0, 'dddddddddddddddd:' .. account .. ':' .. id)
      redis.call('ZADD', KEYS[1] .. 'tokens-by-account', 0, account .. ':' .. id)`)
    console.log(`redis      loaded in ${((performance.now() - before) / 1000).toFixed(0)} s`)
    await compare('redis', few, many, MANY)
  } finally {
    await eachNumber(`redis.call('UNLINK', KEYS[1] .. 'record:' .. id)`)
    for (const size of ['few', 'many']) {
      const names = [`${name}:${size}:tokens-by-domain`, `${name}:${size}:tokens-by-account`]
      for (const member of await client.zRange(names[0], 0, FEW * 2)) {
        names.push(`${name}:${size}:record:${member.slice(member.lastIndexOf(':') + 1)}`)
      }
      await client.unlink(names)
    }
    for await (const left of client.scanIterator({ MATCH: `${name}:*`, COUNT: 10_000 })) {
      if (left.length > 0) await client.unlink(left)
    }
    await client.close()
  }
}

async function postgres() {
  const pool = connectPostgres()
  const schema = `latchkey_bench_${randomBytes(6).toString('hex')}`
  try {
    await pool.query(`CREATE SCHEMA ${schema}`)
  } catch {
    await pool.end()
    return console.log('postgres   is not there')
  }
  try {
    const [few, many] = ['few', 'many'].map((size) =>
      createPostgresStore({ pool, keys, table: `${schema}.${size}`, timeout: 60_000 }),
    )
    for (const store of [few, many]) await store.createTable()
    await Promise.all([fill(few), fill(many)])
    const before = performance.now()
    await pool.query(`ALTER TABLE ${schema}.many SET UNLOGGED`)
    await pool.query(
      `INSERT INTO ${schema}.many
       SELECT left(encode(sha256(n::text::bytea), 'hex'), 43), 'tokens', 'dddddddddddddddd', left(md5(n::text), 16), 'r', 'k1', data
       FROM generate_series($1::int, $2::int) n, (SELECT data FROM ${schema}.few LIMIT 1) sample`,
      [FEW, MANY - 1],
    )
    await pool.query(`ANALYZE ${schema}.few`)
    await pool.query(`ANALYZE ${schema}.many`)
    console.log(`postgres   loaded in ${((performance.now() - before) / 1000).toFixed(0)} s`)
    await compare('postgres', few, many, MANY)
  } finally {
    await pool.query(`DROP SCHEMA ${schema} CASCADE`)
    await pool.end()
  }
}
