// The view Photos: the classes of a dataset, their photos, and the verdict of the checks beside them.

import { filesOfDrop, filesOfInput } from "/page/files.js";
import { button, element, replace } from "../elements.js";
import { english, messageOf } from "../messages.js";
import { Actions } from "./actions.js";
import { DRAGGED, drawCards, isSame, queryOf, sourcesOf } from "./cards.js";
import { showPhoto } from "./dialogs.js";
import { Grid } from "./grid.js";
import { Imports } from "./imports.js";
import { drawUploads } from "./progress.js";
import { uploads } from "./uploads.js";
import { drawVerdict } from "./verdict.js";

export const view = {
  name: "photos",

  mount(main, context) {
    const shown = new Photos(main, context);
    return () => shown.end();
  },
};

class Photos {
  #dataset = null;
  #source = null;
  #found = { verdict: null, checking: true };
  #ends = [];
  #counts = "";

  constructor(main, context) {
    Object.assign(this, { main, context, text: context.text, name: context.argument });
    this.imported = element("div", { hidden: true, "aria-label": this.text("photos.imports"), role: "group" });
    this.imports = new Imports(this.imported, context, () => this.name, (task) => this.#importEnded(task));
    this.actions = new Actions({
      context,
      imports: this.imports,
      current: () => this.#current(),
      done: () => this.#read(),
      failed: (error) => this.#complain(error),
    });
    if (context.part) this.#source = { kind: "class", name: context.part };
    this.grid = new Grid({
      label: this.text("photos.grid"),
      address: (photo) => this.#address("thumbnail", photo),
      onselect: () => this.#drawTools(),
      onopen: (photo) => this.#open(photo),
      onkey: (event) => this.#key(event),
      ondrag: (event) => event.dataTransfer.setData(DRAGGED, this.name),
    });
    this.#build();
    this.#listen();
  }

  end() {
    for (const end of this.#ends) end();
    this.imports.end();
    this.grid.end();
  }

  #build() {
    const { text } = this;
    this.choice = element("select", { onchange: () => this.context.navigate("photos", this.choice.value) });
    this.head = element("div.photos-head");
    this.complaint = element("div.notice", { role: "alert", hidden: true });
    this.drop = element("section.drop-zone", { "aria-label": text("photos.drop_label") });
    this.cards = element("ul.class-cards", { "aria-label": text("photos.classes") });
    this.tools = element("div.class-tools");
    this.uploads = element("div", { hidden: true, "aria-label": text("photos.uploads"), role: "group" });
    this.verdict = element("section.panel.verdict", { hidden: true, "aria-label": text("photos.verdict") });
    this.empty = element("p.empty-class", { hidden: true }, text("photos.empty_class"));
    this.files = element("input", { type: "file", multiple: true, hidden: true, "aria-hidden": "true", onchange: (event) => this.#chosen(event) });
    this.folder = element("input", { type: "file", webkitdirectory: true, hidden: true, "aria-hidden": "true", onchange: (event) => this.#chosen(event) });
    const content = element("div", {}, this.drop, this.imported, this.uploads, this.cards, this.tools, this.grid.list, this.empty);
    const side = element("aside.photos-side", {}, this.verdict);
    replace(this.main, element("h1", {}, text("photos.title")), this.head, this.complaint, element("div.photos-layout", {}, content, side), this.files, this.folder);
  }

  #listen() {
    const { context, main } = this;
    const on = (target, kind, listener) => {
      target.addEventListener(kind, listener);
      this.#ends.push(() => target.removeEventListener(kind, listener));
    };
    on(document, "keydown", (event) => this.#undoKey(event));
    on(window, "dragover", (event) => this.#over(event));
    on(window, "dragleave", (event) => event.relatedTarget || main.classList.remove("dropping"));
    on(window, "drop", (event) => this.#dropped(event));
    this.#ends.push(
      context.events.on("dataset", ({ name }) => name === this.name && this.#read()),
      context.events.on("check", (found) => found.name === this.name && this.#judge(found)),
      uploads.on((upload) => this.#uploadChanged(upload)),
      context.state.subscribe((state) => this.#update(state)),
    );
  }

  /** Another state of the workspace: the list of datasets, and the first one if none is chosen. */
  #update({ datasets }) {
    if (!datasets) return;
    this.name ||= datasets[0]?.name ?? "";
    const counts = JSON.stringify(datasets.find(({ name }) => name === this.name) ?? null);
    this.#drawHead(datasets);
    if (counts !== this.#counts) {
      this.#counts = counts;
      this.#read();
    }
  }

  async #read() {
    if (!this.name) return this.#draw();
    try {
      this.#dataset = await this.context.request.get(this.actions.path());
      const sources = sourcesOf(this.#dataset, this.text);
      const source = sources.find((one) => isSame(one, this.#source)) ?? sources[0] ?? null;
      await this.#show(source, isSame(source, this.#source));
      this.#focusPart();
      if (!this.#found.verdict) {
        const { verdict } = await this.context.request.get(this.actions.path("/check"));
        if (verdict) this.#judge({ verdict, checking: false });
      }
    } catch (error) {
      if (error.status === 422) this.#goElsewhere();
      else if (error.status !== 0) this.#complain(error);
    }
  }

  /** The address names a class: its card has the focus once. */
  #focusPart() {
    const { part } = this.context;
    if (!part || this.wasFocused) return;
    this.wasFocused = true;
    const card = this.cards.querySelector(`[data-key="${CSS.escape(`class ${part}`)}"]`);
    if (!card) return this.#complain(new Error(this.text("photos.no_class", { name: part })));
    card.focus();
    card.scrollIntoView({ block: "nearest" });
  }

  /** The dataset has been renamed or deleted by another program: show the first one. */
  #goElsewhere() {
    const [first] = (this.context.state.current?.datasets ?? []).filter(({ name }) => name !== this.name);
    this.context.state.choose({ dataset: "" });
    if (first) this.context.navigate("photos", first.name);
    else this.#draw();
  }

  async #show(source, keepsPlace = false) {
    this.#source = source;
    const listed = source ? await this.context.request.get(this.actions.path(`/photos?${queryOf(source)}`)) : { photos: [] };
    if (source !== this.#source) return;
    this.#draw();
    this.grid.show(listed.photos, keepsPlace);
  }

  #draw() {
    const sources = this.#sources();
    const hasPhotos = sources.some(({ photos }) => photos);
    const editable = this.#dataset?.editable ?? true;
    this.#drawDrop(hasPhotos, editable);
    drawCards(this.cards, {
      sources,
      editable: editable && Boolean(this.#dataset),
      shown: this.#source,
      text: this.text,
      address: (photo) => this.#address("thumbnail", photo),
      onshow: (source) => this.#show(source).catch((error) => this.#complain(error)),
      onadd: () => this.actions.addClass(),
      onphotos: (source) => this.actions.moveTo(source),
      onfiles: (transfer, source) => this.#send(filesOfDrop(transfer), source.name),
    });
    this.grid.list.hidden = !this.#source?.photos;
    this.empty.hidden = !this.#source || Boolean(this.#source.photos);
    this.verdict.hidden = !this.#dataset || !sources.length;
    this.#drawHead(this.context.state.current?.datasets ?? []);
    this.#drawTools();
    this.#drawUploads();
    drawVerdict(this.verdict, this.#found, {
      text: this.text,
      address: (photo) => this.#address("thumbnail", photo),
      onphoto: (photo) => this.#goTo(photo),
      ontrain: () => this.context.navigate("training", this.name),
      mayTrain: sources.filter(({ kind, photos }) => kind === "class" && photos > 1).length > 1 && !this.#isReceiving(),
    });
  }

  #drawHead(datasets) {
    const { text, actions } = this;
    const names = datasets.map(({ name }) => name);
    const { undo, editable } = this.#dataset ?? {};
    const key = JSON.stringify([names, this.name, editable, undo, this.#dataset?.changes > 0]);
    if (this.head.dataset.key === key) return;
    this.head.dataset.key = key;
    const described = undo ? text(`photos.undo_${undo.kind}`) : "";
    replace(this.choice, names.map((name) => element("option", { value: name, selected: name === this.name }, name)));
    replace(
      this.head,
      names.length ? element("label.field", {}, text("photos.dataset"), this.choice) : null,
      button(text("photos.new_dataset"), () => actions.newDataset()),
      editable ? button(text("photos.import"), () => actions.import()) : null,
      undo ? button(text("photos.undo"), () => actions.undo(undo.number), { title: described, "aria-label": `${text("photos.undo")}: ${described}` }) : null,
      editable && this.#dataset.changes ? button(text("photos.history"), () => actions.history()) : null,
    );
  }

  #drawDrop(hasPhotos, editable) {
    const { text } = this;
    this.drop.classList.toggle("compact", hasPhotos);
    if (!editable) {
      replace(this.drop, element("p", {}, text(this.#dataset.problem ? "photos.unreadable_dataset" : "photos.read_only"), " ", english(this.#dataset.problem)), this.#dataset.problem ? null : button(text("photos.copy"), () => this.actions.newDataset(this.name)));
      return;
    }
    const into = this.#source?.kind === "class" && hasPhotos ? this.#source.name : null;
    replace(
      this.drop,
      element("p", {}, element("strong", {}, text("photos.drop")), " ", element("span.soft", {}, text("photos.drop_hint"))),
      element(
        "div.row",
        {},
        button(text("photos.choose_folder"), () => this.#choose(this.folder, null)),
        button(into ? text("photos.choose_files_for", { name: into }) : text("photos.choose_files"), () => this.#choose(this.files, into)),
      ),
    );
  }

  #drawTools() {
    const { text, actions } = this;
    const source = this.#source;
    if (!source) return replace(this.tools);
    const count = this.grid.selected.size;
    const others = this.#dataset.classes.length > (source.kind === "class" ? 1 : 0);
    const ofSelection = [
      element("span.chosen", { role: "status" }, text("photos.selected", { count })),
      others ? button(text(source.kind === "removed" ? "photos.restore" : "photos.move_to"), () => actions.askWhere()) : null,
      source.kind === "removed" ? null : button(text("photos.remove"), () => actions.remove()),
      button(text("photos.clear"), () => this.grid.clear()),
    ];
    const ofClass = [
      source.photos ? button(text("photos.select_all"), () => this.grid.selectAll()) : null,
      source.kind === "class" ? button(text("photos.rename"), () => actions.rename()) : null,
      source.kind === "class" && others ? button(text("photos.merge"), () => actions.merge()) : null,
      source.kind === "class" ? button(text("photos.remove_class"), () => actions.removeClass()) : null,
    ];
    const heading = element("h2", {}, source.title, " ", element("span.chosen", {}, text("photos.count", { count: source.photos })));
    replace(this.tools, heading, this.#dataset.editable ? (count ? ofSelection : ofClass) : null);
  }

  #drawUploads() {
    const own = uploads.all.filter((upload) => upload.dataset === this.name);
    drawUploads(this.uploads, own, this.#dataset?.uploads ?? [], {
      text: this.text,
      duration: this.context.duration,
      onresume: (upload) => upload.run(),
      onremove: (upload) => uploads.remove(upload),
      onmore: (upload) => upload.readRefused().catch((error) => this.#complain(error)),
      oncancel: ({ upload }) => this.context.request.delete(this.actions.path(`/uploads/${upload}`)).then(() => this.#read()),
    });
  }

  #isReceiving() {
    return uploads.all.some((upload) => upload.dataset === this.name && upload.isActive);
  }

  #uploadChanged(upload) {
    if (upload.dataset !== this.name) return;
    this.#drawUploads();
    if (upload.state !== "done") return;
    this.context.announce(this.text("photos.added", { count: upload.progress.added }));
    this.#read();
  }

  #importEnded({ state, result }) {
    if (state === "done") this.context.announce(this.text("photos.added", { count: result.photos }));
    this.#read();
  }

  #judge({ verdict, checking }) {
    this.#found = { verdict: verdict ?? this.#found.verdict, checking };
    this.#draw();
  }

  /** Shows a photo that the verdict names, in its class. */
  async #goTo(photo) {
    const source = this.#sources().find(({ kind, name }) => kind === "class" && photo.startsWith(`${name}/`));
    if (source) await this.#show(source);
    this.grid.reveal(photo);
  }

  #open(photo) {
    const onend = (last) => this.grid.reveal(last);
    showPhoto(this.grid.photos, photo, { address: (one) => this.#address("photo", one), text: this.text, onend });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.#dataset?.editable) return;
    if (event.key === "Delete" || event.key === "Backspace") this.actions.remove();
    else if (event.key === "m") this.actions.askWhere();
    else return;
    event.preventDefault();
  }

  #undoKey(event) {
    const isTyping = event.target.matches?.("input, textarea, select") || document.querySelector("dialog[open]");
    if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || isTyping || !this.#dataset?.undo) return;
    event.preventDefault();
    this.actions.undo(this.#dataset.undo.number);
  }

  #over(event) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    this.main.classList.add("dropping");
  }

  #dropped(event) {
    this.main.classList.remove("dropping");
    if (!event.dataTransfer.types.includes("Files") || event.defaultPrevented) return;
    event.preventDefault();
    this.#send(filesOfDrop(event.dataTransfer), null);
  }

  #choose(input, className) {
    this.chosenClass = className;
    input.click();
  }

  #chosen(event) {
    this.#send(Promise.resolve(filesOfInput(event.target)), this.chosenClass);
  }

  async #send(files, className) {
    if (this.#dataset && !this.#dataset.editable) return this.#complain(new Error(this.text("photos.read_only")));
    await this.actions.upload(await files, className);
  }

  #complain(error) {
    replace(this.complaint, element("p", {}, messageOf(error)), button(this.text("app.close"), () => (this.complaint.hidden = true)));
    this.complaint.hidden = false;
  }

  #current() {
    const classes = this.#dataset?.classes.map(({ name }) => name) ?? [];
    return { dataset: this.name, source: this.#source, selected: [...this.grid.selected], classes };
  }

  #sources() {
    return this.#dataset ? sourcesOf(this.#dataset, this.text) : [];
  }

  #address(kind, photo) {
    return this.actions.path(`/${kind}?photo=${encodeURIComponent(photo)}`);
  }
}
