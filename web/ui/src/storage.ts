/** The browser's storage, or a forgetful one where a page may not have any (blocked cookies, private modes). */
export function openStorage(): Storage {
  try {
    const storage = window.localStorage;
    storage.getItem("sparkrtc.probe");
    return storage;
  } catch {
    return createForgetfulStorage();
  }
}

function createForgetfulStorage(): Storage {
  const values = new Map<string, string>();
  return {
    get length() {
      return values.size;
    },
    key: (index) => [...values.keys()][index] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
    clear: () => values.clear(),
  };
}
