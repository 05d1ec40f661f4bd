import { challengeTarget } from './challenge.ts'
import { configTarget } from './config.ts'
import type { AnyFuzzTarget } from './fuzz-target.ts'
import { metadataTarget } from './metadata.ts'
import { tokenAnswerTarget } from './token-answer.ts'

/** Every door for strangers' data, in the order they are met. */
export const FUZZ_TARGETS: readonly AnyFuzzTarget[] = [
  challengeTarget,
  metadataTarget,
  tokenAnswerTarget,
  configTarget,
]
