// @ts-check
/** Where the pages, the API and the sockets stand: at the site's root, or under the prefix that the project gave them. */

const HOME = globalThis.document?.documentElement.dataset.home ?? "/";

/**
 * The address of a page.
 * @param {string} [path]
 */
export const pageAddress = (path = "") => HOME + path;

/** The sign-in, which leads back to where one is. */
export const signInAddress = () => pageAddress(`login/?next=${encodeURIComponent(location.pathname)}`);

/**
 * The address of a call, or of a file.
 * @param {string} path
 */
export const apiAddress = (path) => pageAddress(`api/${path}`);

/**
 * The address of a socket.
 * @param {string} path
 */
export const socketAddress = (path) => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${pageAddress(`ws/${path}`)}`;
