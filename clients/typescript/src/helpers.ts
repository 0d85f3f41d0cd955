/** The exports of the client in addition to the services, which index.ts lists. */
export { bearer } from "./bearer.js";
export { followRun, isLast, type FollowOptions } from "./follow.js";
export { problemOf, type Problem, type Violation } from "./problem.js";
