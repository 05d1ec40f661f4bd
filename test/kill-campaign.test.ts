import { type FSWatcher, watch } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { isStrict, randomNumbers, report, seed, size, spread } from './campaign.ts'
import { type Called, type CampaignChild, startCampaignChild } from './campaign-program.ts'
import { startAuthorizationServer } from './fixtures/authorization-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters, type RecordedRequest } from './fixtures/request-log.ts'
import { storedLogins } from './fixtures/stored-logins.ts'
import { openWorkbench } from './fixtures/workbench.ts'
import { buildProgram } from './session-program.ts'

const KILLS = size(32, 200)
/** Each has processes, servers and files of its own: most of a kill's time is spent waiting for the lock of the dead. */
const LANES = size(8, 4)
const DAY = 86_400_000
/** What is promised of the next run, and of a lock that a dead process left, in milliseconds. */
const PROMISED = { nextRun: 5_000, lock: 4_000 }
const NEXT_RUN_WITHIN = isStrict ? PROMISED.nextRun : 15_000
const LOCK_BLOCKS_WITHIN = isStrict ? PROMISED.lock : 6_000

let program: Awaited<ReturnType<typeof buildProgram>>
beforeAll(async () => {
  program = await buildProgram('campaign-child')
})
afterAll(() => program.remove())

/** What is seen of a refresh from outside, in the order in which it comes. */
type Sight = 'asked' | 'requested' | 'answered' | 'written'

/** Kills come up to this long after a sight, in milliseconds: together they cover the call from before to after. */
const KILL_AFTER: Readonly<Record<Sight, number>> = { asked: 40, requested: 8, answered: 12, written: 15 }
const SIGHTS = Object.keys(KILL_AFTER) as Sight[]

/** Where a kill fell, by what was seen until then and what was there afterwards. */
type Fell = 'before the request' | 'before the answer' | 'between answer and write' | 'after the write'

interface Kill {
  fell: Fell
  /** The server had taken the refresh token in the file: nobody can use it any more. */
  isSpent: boolean
  /** Milliseconds of the next run from its start, Node's own start included. */
  sinceStart: number
  /** What it did when it was asked. */
  next: Called
}

/** A login at a server of its own, whose refreshes are watched. */
async function openLane() {
  const home = await mkdtemp(join(tmpdir(), 'latchkey-kill-'))
  const seen = new Map<Sight, number>()
  let waiting: { sight: Sight; reached: () => void } | undefined
  const see = (sight: Sight): void => {
    seen.set(sight, performance.now())
    if (waiting?.sight === sight) waiting.reached()
  }

  const isRefresh = (request: RecordedRequest) =>
    request.pathname === '/token' && parameters(request).grant_type === 'refresh_token'
  const authorizationServer = await startAuthorizationServer({
    extend: (provider) =>
      void provider.use(async (context, next) => {
        await next()
        const { grant_type } = context.oidc?.params ?? {}
        if (grant_type === 'refresh_token') context.res.once('finish', () => see('answered'))
      }),
    intercept: (request) => {
      if (isRefresh(request)) see('requested')
      return undefined
    },
  })
  const server = await startProtectedServer(authorizationServer)
  const bench = await openWorkbench({ home })
  const login = async (): Promise<string> => (await bench.login({ name: 'demo', url: server.url })).location
  const path = await login()
  const watcher: FSWatcher = watch(dirname(path), (_event, name) => {
    if (name === basename(path)) see('written')
  })
  onTestFinished(async () => {
    watcher.close()
    await Promise.all([bench.close(), server.close(), authorizationServer.close()])
    await rm(home, { recursive: true, force: true, maxRetries: 5 })
  })

  let ahead = 0
  return {
    path,
    login,
    seen,
    /** Resolves when it is seen next. What was seen before is forgotten. */
    next: (sight: Sight): Promise<void> => {
      seen.clear()
      return new Promise((reached) => {
        waiting = { sight, reached }
      })
    },
    see,
    startChild(): CampaignChild {
      const child = startCampaignChild(program.file, {
        server: { url: server.url },
        store: { kind: 'file', at: home },
        ahead,
      })
      onTestFinished(async () => {
        child.process.kill('SIGKILL')
        await child.ended
      })
      return child
    },
    /** The token ends, for the server and for this process. */
    async endToken(child: CampaignChild): Promise<void> {
      ahead += DAY
      await child.pass(DAY)
      authorizationServer.expireAccessTokens()
    },
    /** The refresh token in the file, which has to be valid JSON. */
    async storedToken(): Promise<unknown> {
      JSON.parse(await readFile(path, 'utf8'))
      return (await storedLogins(home))[0]?.record.refresh_token
    },
    refreshes: () => authorizationServer.requests.filter(isRefresh),
  }
}

type Lane = Awaited<ReturnType<typeof openLane>>

/** Timers are too coarse for a window of a few milliseconds. */
async function pass(milliseconds: number): Promise<void> {
  const until = performance.now() + milliseconds
  if (milliseconds > 20) await sleep(milliseconds - 10)
  while (performance.now() < until) await nextTurn()
}

/** Kills a process in the middle of its call, and looks at what it left with the eyes of the next one. */
async function killOnce(
  lane: Lane,
  victim: CampaignChild,
  sight: Sight,
  delay: number,
): Promise<Kill & { heir: CampaignChild }> {
  await lane.endToken(victim)
  const before = await lane.storedToken()
  const earlier = lane.refreshes().length
  const reached = lane.next(sight)
  // Rejects when the process dies before it could answer, as it should.
  const call = victim.call().catch(() => undefined)
  lane.see('asked')
  await Promise.race([reached, call])
  await pass(delay)
  const wasAnswered = lane.seen.has('answered')
  victim.process.kill('SIGKILL')
  await victim.ended
  const left = await lane.storedToken()

  const started = performance.now()
  const heir = lane.startChild()
  await heir.ready
  const askedAt = Date.now()
  const next = await heir.call()
  const sinceStart = performance.now() - started

  // Read only now: the server goes on with a request that nobody waits for any more.
  const ofTheDead = lane
    .refreshes()
    .slice(earlier)
    .filter(({ time }) => time < askedAt)
  const isSpent = ofTheDead.some((sent) => sent.status === 200 && parameters(sent).refresh_token === left)
  const fell = ((): Fell => {
    if (left !== before) return 'after the write'
    if (ofTheDead.length === 0) return 'before the request'
    return wasAnswered ? 'between answer and write' : 'before the answer'
  })()
  return { fell, isSpent, sinceStart, next, heir }
}

async function runLane(name: string, kills: number): Promise<Kill[]> {
  const lane = await openLane()
  const random = randomNumbers(name)
  const done: Kill[] = []
  let victim = lane.startChild()
  expect((await victim.call()).said).toEqual(['alice'])
  for (let kill = 0; kill < kills; kill++) {
    const sight = SIGHTS[Math.floor(random() * SIGHTS.length)]!
    const { heir, ...outcome } = await killOnce(lane, victim, sight, random() * KILL_AFTER[sight])
    done.push(outcome)
    const { isSpent, next } = outcome
    expect({ ...outcome, said: next.said }).toEqual({
      ...outcome,
      said: [isSpent ? 'login_required' : 'alice'],
    })
    if (isSpent) {
      await lane.login()
      expect((await heir.call()).said).toEqual(['alice'])
    }
    victim = heir
  }
  return done
}

test('how long a new token is on its way from the server to the file', async () => {
  const lane = await openLane()
  const child = lane.startChild()
  const widths: number[] = []
  for (let refresh = 0; refresh < 20; refresh++) {
    await lane.endToken(child)
    const written = lane.next('written')
    expect((await child.call()).said).toEqual(['alice'])
    await written
    widths.push(lane.seen.get('written')! - lane.seen.get('answered')!)
  }
  report(`answer sent to file changed: ${spread(widths)}`)
})

test(`killed at ${KILLS} random moments of a refresh: the file is whole, and the next run works wherever its token does`, {
  timeout: 60_000 + KILLS * 6_000,
}, async () => {
  const lanes = Array.from({ length: LANES }, (_, lane) => runLane(`lane ${lane}`, KILLS / LANES))
  const kills = (await Promise.all(lanes)).flat()
  expect(kills).toHaveLength(KILLS)

  const fell = (where: Fell) => kills.filter((kill) => kill.fell === where)
  const count = (where: Fell) => `${fell(where).length} ${where}`
  const worked = kills.filter(({ isSpent }) => !isSpent)
  report(
    `${kills.length} kills (seed ${seed}): ${count('before the request')}, ${count('before the answer')}, ` +
      `${count('between answer and write')}, ${count('after the write')}; valid JSON each time; ` +
      `the next run worked ${worked.length} times, and said login_required ${kills.length - worked.length} times ` +
      `because the server had taken the stored token`,
  )
  report(
    `next run after a kill: ${spread(kills.map(({ next }) => next.took))}, with the start of Node ` +
      `${spread(kills.map(({ sinceStart }) => sinceStart))}; ` +
      `locks of the dead: ${spread(kills.flatMap(({ next }) => next.lockWaits.filter((wait) => wait > 1_000)))}; ` +
      `${kills.filter(({ next }) => next.took > PROMISED.nextRun).length} over ${PROMISED.nextRun / 1000} s`,
  )
  for (const kill of kills) {
    expect(kill.next.took, JSON.stringify(kill)).toBeLessThan(NEXT_RUN_WITHIN)
    for (const wait of kill.next.lockWaits) expect(wait).toBeLessThan(LOCK_BLOCKS_WITHIN)
  }
  // Whatever else: a login that could be used was used.
  for (const { isSpent, fell: where } of kills) {
    if (isSpent) expect(['before the answer', 'between answer and write']).toContain(where)
  }
})
