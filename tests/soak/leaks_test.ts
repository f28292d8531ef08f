/**
 * Watches that come and go leave nothing behind: the program as a process, over TLS. Five hundred here; `make soak` opens ten
 * thousand.
 */
import { WATCHES_IN_TEST, watchLeaks } from "./leaks.ts";

Deno.test(`${WATCHES_IN_TEST} opened and closed watches leave heap and sockets where they were`, async () => {
  await watchLeaks(WATCHES_IN_TEST, (text) => console.log(text));
});
