/** Keeps uploaded files in a bucket, or in a folder where there is none. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { DeleteObjectCommand, GetObjectCommand, HeadBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'

export class Bucket {
  constructor({ endpoint, region, name, key, secret, pathStyle, linkSeconds }) {
    this.name = name
    this.linkSeconds = linkSeconds
    this.client = new S3Client({
      endpoint,
      region,
      forcePathStyle: pathStyle,
      credentials: { accessKeyId: key, secretAccessKey: secret },
      requestChecksumCalculation: 'WHEN_REQUIRED',
    })
  }

  #at(Key) {
    return { Bucket: this.name, Key }
  }

  async check() {
    try {
      await this.client.send(new HeadBucketCommand({ Bucket: this.name }))
    } catch (error) {
      throw new Error(`AWS_BUCKET_NAME: the bucket ${this.name} does not open: ${error.name} ${error.message}`)
    }
  }

  async put(key, body, type) {
    await this.client.send(new PutObjectCommand({ ...this.#at(key), Body: body, ContentType: type }))
    return getSignedUrl(this.client, new GetObjectCommand(this.#at(key)), { expiresIn: this.linkSeconds })
  }

  async get(key) {
    return (await this.client.send(new GetObjectCommand(this.#at(key)))).Body.transformToByteArray()
  }

  async remove(key) {
    await this.client.send(new DeleteObjectCommand(this.#at(key)))
  }
}

export class Folder {
  constructor(root = '/app/uploads') {
    this.root = root
  }

  async check() {
    await mkdir(this.root, { recursive: true })
  }

  async put(key, body) {
    await mkdir(dirname(join(this.root, key)), { recursive: true })
    await writeFile(join(this.root, key), body)
    return `/api/files/${key.split('/').at(-1)}`
  }

  async get(key) {
    return readFile(join(this.root, key))
  }

  async remove(key) {
    await rm(join(this.root, key), { force: true })
  }
}
