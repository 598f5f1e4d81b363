// Long work of the server: the latest state of a task, also after a gap in the connection.

/**
 * Calls `changed` with each new state of the task, and with the present one; returns what stops that.
 * @param {(key: string) => boolean} isMine - whether a task is meant.
 * @param {(keys: string[], asked: number) => void} [listed] - receives the keys of all tasks that the server knew at
 *   that moment, as of performance.now(), or later; after each gap.
 */
export function watchTasks({ events, request, state }, isMine, changed, listed = () => {}) {
  let stopped = false;
  const read = async () => {
    const asked = performance.now();
    const tasks = await request.get("/api/tasks").catch(() => null);
    if (stopped || !tasks) return;
    tasks.filter(({ key }) => isMine(key)).forEach(changed);
    listed(tasks.map(({ key }) => key), asked);
  };
  const ends = [events.on("task", (task) => isMine(task.key) && changed(task))];
  // The state is read again after each gap, in which the end of a task may have been missed.
  ends.push(state.subscribe(read));
  return () => {
    stopped = true;
    for (const end of ends) end();
  };
}
