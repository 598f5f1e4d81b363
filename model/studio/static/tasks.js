// Long work of the server: the latest state of a task, also after a gap in the connection.

/**
 * Calls `changed` with each new state of the task, and with the present one; returns what stops that.
 * @param {(key: string) => boolean} isMine - whether a task is meant.
 */
export function watchTasks({ events, request, state }, isMine, changed) {
  let stopped = false;
  const read = async () => {
    const tasks = await request.get("/api/tasks").catch(() => []);
    if (!stopped) tasks.filter(({ key }) => isMine(key)).forEach(changed);
  };
  const ends = [events.on("task", (task) => isMine(task.key) && changed(task))];
  // The state is read again after each gap, in which the end of a task may have been missed.
  ends.push(state.subscribe(read));
  return () => {
    stopped = true;
    for (const end of ends) end();
  };
}
