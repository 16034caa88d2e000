/** Reads the variables and the librechat.yaml of LibreChat, all that the role writes: what is missing is named. */
import { readFileSync } from 'node:fs'

import { load } from 'js-yaml'
import { configSchema } from 'librechat-data-provider'

/** What is set always and used nowhere here: it must be there all the same. */
const UNUSED = [
  'ALLOW_ACCOUNT_DELETION', 'ALLOW_PASSWORD_RESET', 'ALLOW_REGISTRATION', 'ALLOW_SHARED_LINKS',
  'ALLOW_SHARED_LINKS_PUBLIC', 'ALLOW_UNVERIFIED_EMAIL_LOGIN', 'BAN_VIOLATIONS', 'DEBUG_LOGGING', 'ENDPOINTS',
  'HELP_AND_FAQ_URL', 'LIBRECHAT_LOG_DIR', 'LIMIT_MESSAGE_IP', 'LIMIT_MESSAGE_USER', 'LOGIN_MAX', 'LOG_TO_FILE',
  'MEILI_NO_ANALYTICS', 'MIN_PASSWORD_LENGTH', 'NODE_ENV', 'NO_INDEX', 'SEARCH', 'TRUST_PROXY',
]

/** @returns {object} frozen; throws an Error of one line */
export function readSettings(env, file = '/app/librechat.yaml') {
  const set = (name) => {
    if (env[name] === undefined) throw new Error(`${name} is not set`)
    return env[name]
  }
  const need = (name) => {
    if (set(name) === '') throw new Error(`${name} is empty`)
    return env[name]
  }
  const flag = (name) => need(name) === 'true'
  UNUSED.forEach(set)
  if (!/^[0-9a-f]{64}$/.test(need('CREDS_KEY'))) throw new Error('CREDS_KEY must have 64 hexadecimal digits')
  if (!/^[0-9a-f]{32}$/.test(need('CREDS_IV'))) throw new Error('CREDS_IV must have 32 hexadecimal digits')

  const judged = configSchema.strict().safeParse(load(readFileSync(file, 'utf8')))
  if (!judged.success) throw new Error(`${file}: ${judged.error.issues[0].path.join('.')}: ${judged.error.issues[0].message}`)
  const config = judged.data
  const gateway = config.endpoints.custom[0]

  return Object.freeze({
    host: need('HOST'),
    port: Number(need('PORT')),
    url: need('DOMAIN_SERVER'),
    home: need('DOMAIN_CLIENT'),
    title: need('APP_TITLE'),
    footer: set('CUSTOM_FOOTER'),
    secureCookies: flag('SESSION_COOKIE_SECURE'),
    emailLogin: flag('ALLOW_EMAIL_LOGIN'),
    newPeople: flag('ALLOW_SOCIAL_REGISTRATION'),
    sessionMilliseconds: Number(need('REFRESH_TOKEN_EXPIRY')),
    tokenMilliseconds: Number(need('SESSION_EXPIRY')),
    tokenSecret: need('JWT_SECRET'),
    refreshSecret: need('JWT_REFRESH_SECRET'),
    mongo: need('MONGO_URI'),
    search: { url: need('MEILI_HOST'), key: need('MEILI_MASTER_KEY') },
    rag: need('RAG_API_URL'),
    gateway: {
      url: gateway.baseURL,
      key: gateway.apiKey.replace(/^\$\{(\w+)\}$/, (_, name) => need(name)),
      headers: gateway.headers ?? {},
    },
    models: config.modelSpecs.list.map(({ name, label, default: first }) => ({ name, label, first })),
    largest: config.fileConfig.serverFileSizeLimit * 2 ** 20,
    kinds: config.fileConfig.endpoints.default.supportedMimeTypes.map((kind) => new RegExp(kind)),
    signOn: flag('ALLOW_SOCIAL_LOGIN')
      ? {
          issuer: need('OPENID_ISSUER'),
          client: need('OPENID_CLIENT_ID'),
          secret: need('OPENID_CLIENT_SECRET'),
          sessionSecret: need('OPENID_SESSION_SECRET'),
          scope: need('OPENID_SCOPE'),
          back: need('DOMAIN_SERVER') + need('OPENID_CALLBACK_URL'),
          pkce: flag('OPENID_USE_PKCE'),
          button: need('OPENID_BUTTON_LABEL'),
          autoRedirect: flag('OPENID_AUTO_REDIRECT'),
          username: need('OPENID_USERNAME_CLAIM'),
          endsSession: flag('OPENID_USE_END_SESSION_ENDPOINT'),
          keepsToken: flag('OPENID_REUSE_TOKENS'),
          afterLogout: need('OPENID_POST_LOGOUT_REDIRECT_URI'),
          longestLogout: Number(need('OPENID_MAX_LOGOUT_URL_LENGTH')),
          required: role(set, need, 'REQUIRED'),
          admin: role(set, need, 'ADMIN'),
        }
      : null,
    bucket:
      config.fileStrategy === 's3'
        ? {
            endpoint: need('AWS_ENDPOINT_URL'),
            region: need('AWS_REGION'),
            name: need('AWS_BUCKET_NAME'),
            key: need('AWS_ACCESS_KEY_ID'),
            secret: need('AWS_SECRET_ACCESS_KEY'),
            pathStyle: flag('AWS_FORCE_PATH_STYLE'),
            linkSeconds: Number(need('S3_URL_EXPIRY_SECONDS')),
          }
        : null,
  })
}

function role(set, need, which) {
  const prefix = `OPENID_${which}_ROLE`
  return { name: set(prefix), token: need(`${prefix}_TOKEN_KIND`), path: need(`${prefix}_PARAMETER_PATH`) }
}
