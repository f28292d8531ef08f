/**
 * Loaded into the program's process before the program (`deno run --preload`, with `--v8-flags=--expose-gc`): at SIGUSR2
 * it collects garbage and writes how many bytes of the heap are in use into the runtime folder. The inspector would do
 * without this, but under it the runtime's event loop sleeps while there is work to do.
 */
const folder = Deno.args.find((arg) => arg.startsWith("--runtime-dir="))?.slice("--runtime-dir=".length);

Deno.addSignalListener("SIGUSR2", () => {
  const collect: unknown = Reflect.get(globalThis, "gc");
  if (typeof collect !== "function" || folder === undefined) {
    throw new Error("needs --v8-flags=--expose-gc and --runtime-dir");
  }
  // What is freed by finalizers goes with the next collection, in another turn.
  collect();
  setTimeout(() => {
    collect();
    Deno.writeTextFileSync(`${folder}/heap.new`, String(Deno.memoryUsage().heapUsed));
    Deno.renameSync(`${folder}/heap.new`, `${folder}/heap`);
  }, 100);
});
