'use strict';

// The page is made by jailwarden, whole. This fetches it again when something happened, and now and then
// as time passes, and changes what differs: focus, selection and a screen reader's place stay.
(() => {
  const FRESH = 10000;
  const lost = document.getElementById('lost');
  const live = document.getElementById('live');
  let timer, looking = false, again = false;

  function removed(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  function change(old, fresh) {
    if (old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh.cloneNode(true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    let next = old.firstChild;
    for (const node of fresh.childNodes) {
      const same = node.id ? [...old.children].find((it) => it.id === node.id) : next;
      if (!same || same.id !== node.id) {
        old.insertBefore(node.cloneNode(true), next);
        continue;
      }
      while (next !== same) next = removed(next);
      next = same.nextSibling;
      change(same, node);
    }
    while (next) next = removed(next);
  }

  function isLost(why) {
    document.documentElement.classList.toggle('stale', Boolean(why));
    if (lost.textContent !== why) lost.textContent = why;
  }

  async function look() {
    clearTimeout(timer);
    if (looking) {
      again = true;
      return;
    }
    looking = true;
    again = false;
    try {
      const answer = await fetch('/', { cache: 'no-store', signal: AbortSignal.timeout(FRESH) });
      if (!answer.ok) throw new Error('gives no answer');
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const fresh = page.getElementById('page');
      if (!fresh) throw new Error('gives no answer');
      change(document.getElementById('page'), fresh);
      document.title = page.title;
      live.textContent = 'This page follows what happens.';
      isLost('');
    } catch (error) {
      const what = error.message === 'gives no answer' ? error.message : 'cannot be reached';
      const at = document.getElementById('at');
      const known = at ? ` What is below was true at ${at.textContent}.` : '';
      document.title = document.title.replace(/^(\? )?/, '? ');
      isLost(`jailwarden ${what}.${known}`);
    }
    looking = false;
    if (again) look();
    else if (document.visibilityState === 'visible') timer = setTimeout(look, FRESH);
  }

  function follow() {
    const events = new EventSource('/api/events');
    for (const kind of ['open', 'happening', 'missed', 'error']) events.addEventListener(kind, look);
    events.addEventListener('error', () => {
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, FRESH);
    });
  }

  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') look();
    else clearTimeout(timer);
  });
  follow();
})();
