import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'vitest'
import type { StoreAddress } from './campaign-stores.ts'
import { KEYS, postgresNames, redisNames } from './fixtures/databases.ts'

/** A fresh place for a store of that kind, which is gone when the test is over. */
export async function newPlace(
  kind: StoreAddress['kind'],
  onTestFinished: TestContext['onTestFinished'],
): Promise<StoreAddress> {
  const key = Buffer.from(KEYS.keys.k1!).toString('base64')
  switch (kind) {
    case 'file': {
      const at = await mkdtemp(join(tmpdir(), 'latchkey-campaign-'))
      onTestFinished(() => rm(at, { recursive: true, force: true, maxRetries: 5 }))
      return { kind, at }
    }
    case 'redis': {
      const names = await redisNames()
      onTestFinished(() => names.remove())
      return { kind, at: names.newPrefix(), key }
    }
    case 'postgres': {
      const names = await postgresNames()
      onTestFinished(() => names.remove())
      const at = names.newTable()
      await names.newStore(at)
      return { kind, at, key }
    }
  }
}
