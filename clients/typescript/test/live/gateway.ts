/**
 * The gateway and the credentials of the live tests. The environment must set these
 * variables; without them the tests fail.
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
