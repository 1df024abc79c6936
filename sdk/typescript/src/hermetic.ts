/** Replays of recorded runs against today's code, without a network: for CI, before a new version goes out. */
export { replayRuns } from './hermetic/process.ts'
export { recordedRun } from './hermetic/recorded-run.ts'
export { type RecordedRun, replayRecorded, type Verdict, verdicts } from './hermetic/replay.ts'
