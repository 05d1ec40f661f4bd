import { callbackTarget } from './callback.ts'
import { challengeTarget } from './challenge.ts'
import { configTarget } from './config.ts'
import type { AnyFuzzTarget } from './fuzz-target.ts'
import { metadataTarget } from './metadata.ts'
import { storedFileTarget } from './stored-file.ts'
import { tokenAnswerTarget } from './token-answer.ts'

/** Every door for strangers' data, in the order they are met. */
export const FUZZ_TARGETS: readonly AnyFuzzTarget[] = [
  challengeTarget,
  metadataTarget,
  tokenAnswerTarget,
  callbackTarget,
  storedFileTarget,
  configTarget,
]
