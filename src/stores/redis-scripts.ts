/**
 * What Redis does as one step. A record is one string, `<revision> <key id> <data>`; beside it stand two sorted sets per
 * kind, whose members are found by their beginning: `<domain>:<account>:<id>` and `<account>:<id>`.
 */
export interface RedisScript {
  readonly text: string
  /** Its SHA-1, once it is known. */
  sha: Promise<string> | undefined
}

const script = (text: string): RedisScript => ({ text, sha: undefined })

/** Refuses what was sealed with a key that the caller does not have, and every other revision than the expected one. */
const GUARD = `
local stored = redis.call('GET', KEYS[1])
local revision, keyId
if stored then
  revision, keyId = string.match(stored, '^(%S+) (%S+) ')
  if not revision then return { 'foreign' } end
  if not string.find(ARGV[1], ' ' .. keyId .. ' ', 1, true) then return { 'sealed', keyId } end
end
if ARGV[2] == 'same' and revision ~= ARGV[3] then return { 'conflict' } end
if ARGV[2] == 'none' and stored then return { 'conflict' } end
`

/** KEYS: record, index by domain, index by account. ARGV: known key ids, mode, revision, both members, the record. */
export const WRITE = script(`${GUARD}
redis.call('SET', KEYS[1], ARGV[6])
redis.call('ZADD', KEYS[2], 0, ARGV[4])
redis.call('ZADD', KEYS[3], 0, ARGV[5])
return { 'done' }
`)

/** The same without the record. What is absent is fine, whatever was expected. */
export const DELETE = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'done' } end
${GUARD}
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[4])
redis.call('ZREM', KEYS[3], ARGV[5])
return { 'done' }
`)

/** KEYS: lease. ARGV: token, milliseconds. */
export const EXTEND = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)

/** KEYS: lease. ARGV: token. */
export const FREE = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`)
