/** Signs people on at the OpenID Connect provider, and off there too. */
import { createHmac, timingSafeEqual } from 'node:crypto'

import * as oidc from 'openid-client'

const PENDING_MILLISECONDS = 600_000

export class Refused extends Error {}

export class SignOn {
  #pending = new Map()

  /** Asks for the provider's description; throws where there is none. */
  static async find(settings) {
    const method = oidc.ClientSecretBasic(settings.secret)
    return new SignOn(settings, await oidc.discovery(new URL(settings.issuer), settings.client, {}, method))
  }

  constructor(settings, provider) {
    this.settings = settings
    this.provider = provider
  }

  /** @returns where to send somebody, and what their browser keeps until they come back */
  async begin() {
    const { scope, back, pkce } = this.settings
    const state = oidc.randomState()
    const verifier = pkce ? oidc.randomPKCECodeVerifier() : undefined
    this.#pending.set(state, verifier)
    setTimeout(() => this.#pending.delete(state), PENDING_MILLISECONDS).unref()
    const proof = pkce
      ? { code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' }
      : {}
    const to = oidc.buildAuthorizationUrl(this.provider, { redirect_uri: back, scope, state, ...proof })
    return { to: to.href, keep: `${state}.${this.#sign(state)}` }
  }

  /** @returns who has come back; throws Refused where they may not come in */
  async finish(url, kept = '') {
    const [state, signature] = kept.split('.')
    if (!signature || !equal(signature, this.#sign(state)) || !this.#pending.has(state)) {
      throw new Refused('the sign-in took too long, or began elsewhere')
    }
    const tokens = await oidc.authorizationCodeGrant(this.provider, url, {
      expectedState: state,
      pkceCodeVerifier: this.#pending.get(state),
    })
    this.#pending.delete(state)
    const claims = tokens.claims()
    const person = { ...claims, ...(await oidc.fetchUserInfo(this.provider, tokens.access_token, claims.sub)) }
    const sources = { id: claims, access: payload(tokens.access_token), userinfo: person }
    const has = ({ name, token, path }) => name !== '' && [valueAt(sources[token], path) ?? []].flat().includes(name)
    const { required, admin, username } = this.settings
    if (required.name !== '' && !has(required)) throw new Refused(`You must have the role "${required.name}" to log in.`)
    return {
      idToken: tokens.id_token,
      person: {
        openidId: claims.sub,
        email: person.email,
        emailVerified: person.email_verified ?? false,
        name: person.name,
        username: person[username],
        provider: 'openid',
        role: has(admin) ? 'ADMIN' : 'USER',
      },
    }
  }

  /** @returns where the browser ends the session at the provider */
  end(idToken) {
    const { endsSession, keepsToken, afterLogout, client, longestLogout } = this.settings
    if (!endsSession) return undefined
    const url = new URL(this.provider.serverMetadata().end_session_endpoint)
    url.searchParams.set('post_logout_redirect_uri', afterLogout)
    const hinted = new URL(url)
    hinted.searchParams.set('id_token_hint', idToken)
    if (keepsToken && idToken && hinted.href.length <= longestLogout) return hinted.href
    url.searchParams.set('client_id', client)
    return url.href
  }

  #sign(text) {
    return createHmac('sha256', this.settings.sessionSecret).update(text).digest('base64url')
  }
}

function equal(one, other) {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))
}

function payload(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
}

function valueAt(object, path) {
  return path.split('.').reduce((inner, key) => inner?.[key], object)
}
