export { type Clock, systemClock, TimerQueue } from './timer-queue.ts'
