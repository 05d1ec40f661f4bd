import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { requires } from './requires.ts'
import { buildStoreChild, startStoreChild, temporaryFolder } from './store-program.ts'

/** Numbers that nobody has in a password file; neither may do anything that root may. */
const VICTIM = 54_321
const ATTACKER = 54_322

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let program = ''
let place = ''
let count = 0

beforeAll(async () => {
  folder = await temporaryFolder()
  program = await buildStoreChild(folder.path)
  chmodSync(folder.path, 0o755)
})
afterAll(() => folder.remove())

/** A folder of the victim. */
beforeEach(() => {
  place = join(folder.path, `place-${count++}`)
  mkdirSync(place)
  chownSync(place, VICTIM, VICTIM)
})

const as = (uid: number): string[] => [
  'setpriv',
  `--reuid=${uid}`,
  `--regid=${uid}`,
  '--clear-groups',
  '--inh-caps=-all',
]

/** One act of the store in a process of this user: what it gave, or the error. */
async function act(
  name: 'read' | 'write' | 'trust' | 'trusts',
  home: string,
  { uid = VICTIM, file = 'victim' } = {},
): Promise<unknown> {
  const child = startStoreChild(program, ['talk', home, file], { prefix: as(uid) })
  const answer = await child.ask(name)
  child.process.stdin?.end()
  await child.ended
  return answer
}

/** A command as the attacker; its own failure is as good as ours. */
function attack(...command: string[]): number | null {
  const [program = '', ...args] = [...as(ATTACKER), ...command]
  return spawnSync(program, args).status
}

const refusal = (because: string) => ({ code: 'store_failed', message: expect.stringContaining(because) })
const document = (home: string) => join(home, 'tokens', 'mcp.example.com.json')

const isRootWithSetpriv = process.geteuid?.() === 0 && spawnSync('setpriv', ['true']).status === 0

requires('root', isRootWithSetpriv)(
  "S19: another user of the machine, for whom this one's rights count",
  () => {
    test("somebody else's document is not believed, whatever its mode", async () => {
      const home = join(place, 'home')
      await act('write', home)
      for (const mode of [0o644, 0o600]) {
        chownSync(document(home), ATTACKER, ATTACKER)
        chmodSync(document(home), mode)
        const answer = await act('read', home)
        // Of a private file of somebody else not even the owner can be asked.
        expect(answer).toMatchObject({ code: 'store_failed' })
        expect(await act('write', home)).toMatchObject({ code: 'store_failed' })
      }
    })

    test.each(['tokens', 'tokens/mcp.example.com.json.lock', ''])(
      "somebody else's folder is not used: %j",
      async (name) => {
        const home = join(place, 'home')
        await act('write', home)
        chownSync(join(home, name), ATTACKER, ATTACKER)
        chmodSync(join(home, name), 0o777)
        expect(await act('write', home)).toMatchObject(refusal(`belongs to user ${ATTACKER}`))
      },
    )

    test('a link to a folder of the victim, planted in /tmp where the home will be: nothing is stored in it', async () => {
      const sticky = join(place, 'tmp')
      const precious = join(place, 'precious')
      mkdirSync(sticky)
      chmodSync(sticky, 0o1777)
      mkdirSync(precious)
      chownSync(precious, VICTIM, VICTIM)
      expect(attack('ln', '-s', precious, join(sticky, 'home'))).toBe(0)
      expect(await act('write', join(sticky, 'home'))).toMatchObject(
        refusal(`a symbolic link of user ${ATTACKER}`),
      )
      expect(readdirSync(precious)).toEqual([])
    })

    test('a home that somebody else was quicker to create in /tmp is refused', async () => {
      const sticky = join(place, 'tmp')
      mkdirSync(sticky)
      chmodSync(sticky, 0o1777)
      expect(attack('mkdir', '-m', '777', join(sticky, 'home'))).toBe(0)
      expect(await act('write', join(sticky, 'home'))).toMatchObject(refusal(`belongs to user ${ATTACKER}`))
      expect(readdirSync(join(sticky, 'home'))).toEqual([])
    })

    test('a folder of root that every user may write is no home: root alone could close it', async () => {
      const home = join(folder.path, 'shared')
      mkdirSync(home)
      chmodSync(home, 0o777)
      expect(await act('write', home)).toMatchObject(refusal('can be written by every user'))
      expect(readdirSync(home)).toEqual([])
      chmodSync(home, 0o1777)
      expect(await act('write', home)).toMatch(/^[0-9a-f]{16}$/)
    })

    test('a folder that only its group shares may be above the home, as volumes of containers are', async () => {
      const volume = join(folder.path, 'volume')
      mkdirSync(volume)
      chownSync(volume, 0, VICTIM)
      chmodSync(volume, 0o2775)
      expect(await act('write', join(volume, 'home'))).toMatch(/^[0-9a-f]{16}$/)
      expect(await act('read', join(volume, 'home'))).toBe('of victim')
    })

    test('what is stored cannot be reached: not read, not linked to, not exchanged', async () => {
      const home = join(place, 'home')
      await act('write', home)
      chmodSync(place, 0o755)
      chmodSync(home, 0o755)
      const path = document(home)
      for (const command of [
        ['cat', path],
        ['ls', join(home, 'tokens')],
        ['ln', path, join('/tmp', `latchkey-planted-${process.pid}`)],
        ['mv', join(home, 'tokens'), join(home, 'away')],
        ['sh', '-c', `echo x > '${join(home, 'trust.json')}'`],
      ])
        expect(attack(...command)).not.toBe(0)
      expect(await act('read', home)).toBe('of victim')
    })

    test("root does not use a user's store: what it wrote there the user could not use any more", async () => {
      const home = join(place, 'home')
      await act('write', home)
      const before = readFileSync(document(home), 'utf8')
      expect(await act('read', home, { uid: 0 })).toMatchObject(refusal(`belongs to user ${VICTIM}`))
      expect(await act('write', home, { uid: 0 })).toMatchObject(refusal(`belongs to user ${VICTIM}`))
      expect(readFileSync(document(home), 'utf8')).toBe(before)
    })

    test('a trust list of somebody else, or one that others may write, trusts nothing', async () => {
      const home = join(place, 'home')
      const config = join(place, 'mcp.json')
      writeFileSync(config, '{}')
      chownSync(config, VICTIM, VICTIM)
      const trusts = () => act('trusts', home, { file: config })
      expect(await act('trust', home, { file: config })).toMatchObject({ path: config })
      expect(await trusts()).toBe(true)
      chmodSync(join(home, 'trust.json'), 0o666)
      expect(await trusts()).toMatchObject(refusal('can be written by other users'))
      chmodSync(join(home, 'trust.json'), 0o600)
      chownSync(join(home, 'trust.json'), ATTACKER, ATTACKER)
      expect(await trusts()).toMatchObject({ code: 'store_failed' })
    })
  },
)
