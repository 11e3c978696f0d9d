  "use strict";
  const cards = JSON.parse(document.getElementById("content").textContent);
  const find = id => document.getElementById(id), grid = find("cards"), root = document.documentElement;
  const controls = ["set", "type", "order", "name", "faults"].map(find);

  const AT_ONCE = 24;  // cards of the first window; the pictures of the others are decoded when they come near it
  const near = new IntersectionObserver(entries => {
    for (const entry of entries) if (entry.isIntersecting) { fill(entry.target); near.unobserve(entry.target); }
  }, { rootMargin: "600px" });

  function element(name, className, text) {
    const made = document.createElement(name);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function build(card, index) {
    const article = element("article", card.fault ? "faulty" : "");
    article.dataset.index = index;
    const about = element("div", "about");
    about.append(element("h2", "", card.id), element("p", "", [card.set, ...card.about].join(" · ")));
    if (card.types.length) about.append(element("p", "", card.types.join(", ")));
    if (card.fault) about.append(element("p", "fault", card.fault));
    article.append(element("div", "picture"), about);
    near.observe(article);
    return article;
  }
  function fill(article) {
    const card = cards[article.dataset.index], picture = article.querySelector(".picture");
    if (picture.firstChild) return;
    for (const [kind, source] of [["photo", card.photo], ["label", card.label]]) {
      if (!source) continue;
      const image = element("img", kind);
      image.alt = kind === "photo" ? card.id : "";
      image.src = source;
      picture.append(image);
    }
  }
  const articles = cards.map(build);
  function arrange() {
    const [set, type, order, name, faults] = controls.map(item => item.type === "checkbox" ? item.checked : item.value);
    const wanted = card => (!set || card.set === set) && (!type || card.types.includes(type))
      && card.id.toLowerCase().includes(name.toLowerCase()) && (!faults || card.fault);
    const shown = cards.map((card, index) => index).filter(index => wanted(cards[index]));
    const sign = { index: 0, up: 1, down: -1 }[order];
    if (sign) shown.sort((a, b) => sign * (cards[a].face_share - cards[b].face_share));
    grid.replaceChildren(...shown.map(index => articles[index]));
    for (const index of shown.slice(0, AT_ONCE)) fill(articles[index]);
    find("count").textContent = shown.length + " of " + cards.length;
  }
  for (const control of controls) control.addEventListener("input", arrange);
  const opacity = find("opacity");
  opacity.addEventListener("input", () => root.style.setProperty("--label", opacity.value / 100));
  document.addEventListener("keydown", event => {
    if (event.key !== "l" || event.ctrlKey || event.metaKey || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
    opacity.value = opacity.value > 0 ? 0 : 55;
    opacity.dispatchEvent(new Event("input"));
  });
  arrange();
