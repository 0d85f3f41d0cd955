/**
 * The gateway that the live tests speak to, and who they sign in as. Whoever runs them
 * sets these; they do not pass without.
 */
export const gateway = {
  url: required("GATEHOUSE_TEST_URL"),
  email: required("GATEHOUSE_TEST_EMAIL"),
  password: required("GATEHOUSE_TEST_PASSWORD"),
};

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") {
    throw new Error(`${name} is not set: these tests need a gateway that runs`);
  }
  return value;
}
