// Sends files to a dataset. What has arrived is asked for after each broken connection, and only the rest is sent.

import { request } from "../request.js";

const BATCH_BYTES = 8 << 20;
const BATCH_FILES = 200;
const AT_A_TIME = 2;
const MAX_SECONDS_TO_WAIT = 15;
const MAX_VAIN_TRIES = 4;

/**
 * Sends files.
 * @param {string} dataset - its name.
 * @param {Array<{file: File, name: string}>} files - the name includes the folders.
 * @param {string|null} className - class of all files; null: their folders name it.
 * @param {object} options - `signal` ends it; `onprogress(progress)` with what the server says; `onwaiting(seconds)`
 *   while the server does not answer.
 * @returns what the server says about the complete upload.
 */
export async function sendFiles(dataset, files, className, { signal, onprogress, onwaiting }) {
  const plan = { files: files.map(({ file, name }) => [name, file.size]), class_name: className };
  const path = `/api/datasets/${encodeURIComponent(dataset)}/uploads`;
  let vain = 0;
  let received = -1;
  let upload = "";
  for (let pause = 1; ; pause = Math.min(2 * pause, MAX_SECONDS_TO_WAIT)) {
    try {
      // The answer that it is complete may have been lost: it is not sent again then.
      let progress = await request.post(upload ? `${path}?upload=${upload}` : path, plan, { signal });
      upload = progress.upload;
      vain = progress.received > received ? 0 : vain + 1;
      received = progress.received;
      onprogress(progress);
      if (!progress.complete) progress = await sendRest(`${path}/${progress.upload}`, files, progress, signal, onprogress);
      if (progress.complete) return progress;
    } catch (error) {
      if (error.name === "AbortError" || !isPassing(error.status) || vain >= MAX_VAIN_TRIES) throw error;
      onwaiting(pause);
      await sleep(pause, signal);
      continue;
    }
    pause = 1;
  }
}

/** No answer, a server that restarts, or another window that sends the same files. */
function isPassing(status) {
  return status === 0 || status === 400 || status === 409 || status === 500 || (status >= 502 && status <= 504);
}

async function sendRest(path, files, progress, signal, onprogress) {
  const batches = batchesOf(files, progress);
  let latest = progress;
  const work = async () => {
    for (let batch = batches.shift(); batch; batch = batches.shift()) {
      for (const [query, body] of piecesOf(files, batch)) {
        const found = await request.put(`${path}?${query}`, body, { signal, headers: { "Content-Type": "application/octet-stream" } });
        // Answers may overtake each other; the one that is complete is the last.
        if (found.complete || (!latest.complete && found.arrived >= latest.arrived)) onprogress((latest = found));
      }
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: AT_A_TIME }, work));
  const failed = workers.find(({ status }) => status === "rejected");
  if (failed) throw failed.reason;
  return latest;
}

/** Files that are sent together: many small ones, or a large one in pieces. */
function batchesOf(files, { missing, parts }) {
  const batches = [];
  for (const [first, last] of missing) {
    for (let index = first; index <= last; ) {
      const batch = { first: index, offset: parts[index] ?? 0, end: index + 1, size: files[index].file.size };
      const rest = () => files[batch.end];
      while (batch.end <= last && batch.end - index < BATCH_FILES && batch.size + rest().file.size <= BATCH_BYTES && !parts[batch.end]) {
        batch.size += rest().file.size;
        batch.end += 1;
      }
      batches.push(batch);
      index = batch.end;
    }
  }
  return batches;
}

function* piecesOf(files, { first, offset, end, size }) {
  if (end - first > 1 || size - offset <= BATCH_BYTES) {
    const contents = files.slice(first, end).map(({ file }) => file);
    yield [`first=${first}&offset=${offset}`, new Blob([contents[0].slice(offset), ...contents.slice(1)])];
    return;
  }
  for (let start = offset; start < size; start += BATCH_BYTES) {
    yield [`first=${first}&offset=${start}`, files[first].file.slice(start, start + BATCH_BYTES)];
  }
}

/** Waits, or until the network is back. */
function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const finish = () => (clearTimeout(timer), resolve());
    const timer = setTimeout(finish, 1000 * seconds);
    window.addEventListener("online", finish, { once: true });
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(new DOMException("", "AbortError"))), { once: true });
  });
}
